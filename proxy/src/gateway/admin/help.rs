//! What there is to be asked, for people.
use super::commands::COMMANDS;

/// As Envoy lists it.
pub(super) fn text() -> String {
    let mut out = String::from("admin commands are:\n");
    for command in COMMANDS {
        let post = if command.changes { " (POST)" } else { "" };
        out.push_str(&format!("  {}{post}: {}\n", command.path, command.help));
        for (name, help) in command.parameters {
            out.push_str(&format!("      {name}: {help}\n"));
        }
    }
    out
}

/// A page with a link, or a button, for each.
pub(super) fn html() -> String {
    let rows = COMMANDS.iter().skip(1).map(|command| {
        let name = command.path.trim_start_matches('/');
        let help = command.help.replace('&', "&amp;").replace('<', "&lt;");
        let link = if command.changes {
            format!("<form action='{name}' method='post'><button>{name}</button></form>")
        } else {
            format!("<a href='{name}'>{name}</a>")
        };
        format!("<tr><td>{link}</td><td>{help}</td></tr>\n")
    });
    format!(
        "<!DOCTYPE html>\n<html lang='en'><head><title>Culvert gateway</title><style>\
         body {{font-family: sans-serif}} td {{padding: 4px}} form {{margin: 0}}</style></head>\
         <body><table>\n<tr><th>Command</th><th>Description</th></tr>\n{}</table></body></html>\n",
        rows.collect::<String>()
    )
}
