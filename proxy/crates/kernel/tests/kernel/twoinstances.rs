//! Two instances on one kernel, in cgroup folders beside each other, do not mix.
//!
//! Each is a process of its own: which folder's programs see a socket is decided by where the
//! process was that made it.
use crate::{
    held::{Held, held, nothing_is_held},
    traffic::{App, Event, Proxy, connect, talk},
    world::World,
};
use culvert_kernel::netns::Netns;
use std::{
    env,
    io::{BufRead as _, BufReader, Lines, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Tells the second process the first one's pod, and a server that this pod can reach.
const POD: &str = "CULVERT_IT_POD";
const SERVER: &str = "CULVERT_IT_SERVER";

/// The lines that the two processes tell each other.
const UP: &str = "the second instance is up";
const ALONE: &str = "the first instance is gone";
const WORKS: &str = "the second instance works alone";

/// This test again, in another process.
struct Second {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Second {
    fn start(pod: &PathBuf, server: SocketAddr) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "twoinstances::two_instances_do_not_mix", "--nocapture"])
            .env(POD, pod)
            .env(SERVER, server.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, stdin: Some(stdin), lines: BufReader::new(stdout).lines() }
    }

    /// Waits until it says so.
    fn says(&mut self, line: &str) {
        assert!(self.lines.any(|said| said.unwrap().contains(line)), "it never said that {line}");
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // One that still waits for a line ends without it, and cleans up.
        drop(self.stdin.take());
        drop(self.child.wait());
    }
}

#[test]
fn two_instances_do_not_mix() {
    match (env::var_os(POD), env::var_os(SERVER)) {
        (Some(pod), Some(server)) => {
            second(&Netns::open(pod).unwrap(), server.to_str().unwrap().parse().unwrap());
        }
        _ => first(),
    }
}

fn first() {
    let mut world = World::new("first");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let server = App::start(&world.netns, 7700);
    let app = App::start(&pod.netns, 8080);
    let to = SocketAddr::new(pod.node[0], server.address.port());
    let inward = SocketAddr::new(pod.ips[0], app.address.port());
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });

    let mut second = Second::start(&pod.path, to);
    second.says(UP);
    // Of what it did, also with this pod's addresses, nothing is seen here.
    assert_eq!(proxy.events(), []);
    assert_eq!(proxy.enrolled.stats().captured, 1);
    nothing_is_held(&world, &proxy.enrolled);
    // And this instance goes on.
    talk(&pod.netns, to).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(to) });
    talk(&world.netns, inward).unwrap();
    assert_eq!((proxy.enrolled.stats().captured, proxy.enrolled.stats().bypassed), (2, 1));

    drop((proxy, node));
    assert_eq!(world.uninstall().left, Vec::<String>::new());
    writeln!(second.stdin.as_mut().unwrap(), "{ALONE}").unwrap();
    second.says(WORKS);
    assert!(second.child.wait().unwrap().success());
}

/// A process whose instance has a pod with the same addresses as the first one's.
fn second(first_pod: &Netns, server: SocketAddr) {
    let mut world = World::new("second");
    let pod = world.pod("a");
    let node = world.load();
    let proxy = Proxy::start(&node, &pod.spec());
    let app = App::start(&pod.netns, 8080);
    let own_server = App::start(&world.netns, server.port());
    assert_eq!(server, SocketAddr::new(pod.node[0], own_server.address.port()));
    let inward = SocketAddr::new(pod.ips[0], app.address.port());

    talk(&pod.netns, server).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(server) });
    // Beside the first instance's folder, its pod is nobody's.
    talk(first_pod, server).unwrap();
    assert_eq!(proxy.events(), []);
    // A probe of one is not a probe of the other.
    let probe = connect(&world.netns, inward).unwrap();
    assert_eq!(held(&world, &proxy.enrolled), Held { bypass: 1, ..Held::default() });
    drop(probe);
    nothing_is_held(&world, &proxy.enrolled);
    say(UP);

    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert_eq!(line.trim(), ALONE);
    talk(&pod.netns, server).unwrap();
    assert_eq!(proxy.event(), Event::Outbound { original: Some(server) });
    talk(&world.netns, inward).unwrap();
    assert_eq!((proxy.enrolled.stats().captured, proxy.enrolled.stats().bypassed), (2, 2));
    say(WORKS);
}

/// Past the test harness, which may keep what is printed.
fn say(line: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n{line}").unwrap();
    stdout.flush().unwrap();
}
