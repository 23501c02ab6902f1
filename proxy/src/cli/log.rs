//! `culvert log`
use super::{door::DoorArgs, output};
use crate::{
    admin::view,
    config::sources::Variables,
    failure::{Exit, Failure},
};

/// Show or change what a running node logs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert log                             what is logged now
  culvert log debug                       everything of level debug
  culvert log info,culvert_kernel=trace   one part in detail

The change lasts until the node is restarted; the setting `log` makes it permanent.")]
pub(crate) struct Log {
    /// A level, or target=level pairs with commas.
    #[arg(value_name = "DIRECTIVES")]
    directives: Option<String>,
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Log {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables);
        let document = match &self.directives {
            Some(directives) => door.put(&format!("/log?level={}", escape(directives))),
            None => door.get("/log"),
        }?;
        match self.output {
            output::Format::Json => output::print(document),
            output::Format::Text => output::print(door.read::<view::Log>(&document)?.log),
        }
        Ok(Exit::Done)
    }
}

/// As a query's value: all but the unreserved characters as `%XX` (RFC 3986 §2.3).
fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_a_query_cannot_hold() {
        assert_eq!(escape("info,a::b=debug &+"), "info%2Ca%3A%3Ab%3Ddebug%20%26%2B");
    }
}
