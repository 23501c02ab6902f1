//! Flags made of the table of settings.
use super::{
    raw::{Layer, Origin, Piece},
    settings::{self, Kind},
};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// What the flags say; one flag per setting.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags(pub(crate) Layer);

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        settings::ALL.iter().fold(command, |command, setting| {
            let arg = Arg::new(setting.name)
                .long(setting.flag())
                .value_name(setting.takes)
                .help(format!("{} [default: {}]", setting.doc, plain(setting.preset)))
                .help_heading("Settings")
                .hide_short_help(true)
                // Said by the setting itself, which knows what it takes.
                .allow_negative_numbers(true);
            command.arg(match setting.kind {
                Kind::Text | Kind::Count => arg.action(ArgAction::Set),
                Kind::List => arg.action(ArgAction::Append),
                Kind::Switch => arg
                    .action(ArgAction::Set)
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true"),
            })
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in settings::ALL {
            let Some(values) = matches.get_many::<String>(setting.name) else { continue };
            let origin = Origin::Flag(setting.flag());
            let pieces =
                values.map(|text| Piece { text: text.clone(), origin: origin.clone() }).collect();
            self.0.insert(setting.name, pieces);
        }
        Ok(())
    }
}

fn plain(preset: settings::Preset) -> String {
    preset.to_string().replace('`', "")
}
