//! Flags made of the table of settings.
use super::{
    raw::{Layer, Origin, Piece},
    settings::{self, Kind, Role, Setting},
};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// What the flags say; one flag for each setting of one role.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags<const ROLE: u8>(pub(crate) Layer);

pub(crate) type UpFlags = SettingFlags<{ Role::Up as u8 }>;
pub(crate) type NodeFlags = SettingFlags<{ Role::Node as u8 }>;
pub(crate) type ControlFlags = SettingFlags<{ Role::Control as u8 }>;
pub(crate) type GatewayFlags = SettingFlags<{ Role::Gateway as u8 }>;

/// What a node cannot do without.
const FIRST: [&str; 3] = [settings::CONTROL.name, settings::JOIN_TOKEN.name, settings::PODS.name];

/// The settings of a role.
fn of_role(role: u8) -> impl Iterator<Item = &'static Setting> {
    let is_for = move |setting: &Setting| setting.roles.iter().any(|own| *own as u8 == role);
    settings::ALL.iter().copied().filter(move |setting| is_for(setting))
}

impl<const ROLE: u8> Args for SettingFlags<ROLE> {
    fn augment_args(command: Command) -> Command {
        of_role(ROLE).fold(command, |command, setting| {
            let arg = Arg::new(setting.name)
                .long(setting.flag())
                .value_name(setting.takes)
                .help(format!("{} [default: {}]", setting.doc, plain(setting.preset)))
                .help_heading("Settings")
                .hide_short_help(!FIRST.contains(&setting.name))
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

impl<const ROLE: u8> FromArgMatches for SettingFlags<ROLE> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in of_role(ROLE) {
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
