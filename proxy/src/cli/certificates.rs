//! `culvert certificates`
use super::{
    door::{DoorArgs, Whom},
    output,
};
use crate::{
    admin::view,
    config::sources::Variables,
    failure::{Exit, Failure},
};

/// List the certificates of a running node's pods.
///
/// Exit code 1 when one is missing or has expired.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  culvert certificates
  culvert certificates --kubernetes --node worker-1
  culvert certificates -o json | jq -r '.roots[]' | openssl x509 -noout -text")]
pub(crate) struct Certificates {
    #[command(flatten)]
    door: DoorArgs,
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: output::Format,
}

impl Certificates {
    pub(super) fn run(self, variables: &Variables) -> Result<Exit, Failure> {
        let door = self.door.door(variables, Whom::Node)?;
        let document = door.get("/certificates")?;
        let view::Certificates { certificates, roots } = door.read(&document)?;
        match self.output {
            output::Format::Json => output::print(document),
            output::Format::Text if certificates.is_empty() => output::print("no certificate"),
            output::Format::Text => {
                output::table(
                    ["IDENTITY", "STATE", "SERIAL", "EXPIRES", "IN", "FAILURE"],
                    certificates.iter().map(row),
                );
                output::print(format_args!("\nroots believed: {}", roots.len()));
            }
        }
        let bad = |certificate: &view::Certificate| certificate.state != "valid";
        Ok(if certificates.iter().any(bad) { Exit::Found } else { Exit::Done })
    }
}

fn row(certificate: &view::Certificate) -> [String; 6] {
    let view::Certificate { identity, state, serial, not_after, failure, .. } = certificate;
    [
        identity.clone(),
        state.clone(),
        serial.clone().unwrap_or_default(),
        not_after.clone().unwrap_or_default(),
        certificate.expires_in_seconds.map_or_else(String::new, left),
        failure.clone().unwrap_or_default(),
    ]
}

/// The two largest units.
fn left(seconds: i64) -> String {
    match seconds {
        ..0 => "past".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
