//! Who has an address that is taken.
use std::{fs, net::SocketAddr, path::Path};

/// The process that listens there, if this user may see it: `nginx (4711)`.
pub(super) fn of(address: SocketAddr) -> Option<String> {
    let inodes = listening(address);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| holds(*pid, &inodes))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} ({pid})", name.trim()))
}

/// Sockets in the state LISTEN that keep others from this address.
fn listening(address: SocketAddr) -> Vec<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let texts = tables.iter().filter_map(|table| fs::read_to_string(table).ok());
    texts.flat_map(|text| in_table(&text, address.port())).collect()
}

fn in_table(text: &str, port: u16) -> Vec<String> {
    let inode = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let here = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
        (state == "0A" && here == port).then(|| fields.nth(5).map(str::to_owned)).flatten()
    };
    text.lines().skip(1).filter_map(inode).collect()
}

fn holds(pid: u32, inodes: &[String]) -> bool {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let links = open.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let is_one = |link: &Path| {
        let text = link.to_str().unwrap_or_default();
        let inode = text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.iter().any(|one| one == inode))
    };
    links.into_iter().any(|link| is_one(&link))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn names_the_process_that_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let held = of(listener.local_addr().unwrap()).unwrap();
        assert!(held.ends_with(&format!("({})", std::process::id())), "{held}");
    }

    #[test]
    fn reads_the_table_of_the_kernel() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                    0: 0100007F:4B5E 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1\n   \
                    1: 0100007F:4B5E 0100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1\n";
        assert_eq!(in_table(text, 0x4B5E), ["4242"]);
        assert_eq!(in_table(text, 80), [""; 0]);
    }
}
