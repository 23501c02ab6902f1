//! Both sides in one process, over a real socket.
use super::{
    SOCKET,
    new::{Settled, ask},
    old::{Outcome, Standing, Successor, succeeded},
};
use crate::{
    admin::listeners::{Listeners, bind_unix},
    config::Doors,
};
use std::{cell::RefCell, net::SocketAddr, path::Path, thread};
use tokio::net::UnixListener;

/// Notes what it is asked to do.
#[derive(Debug, Default)]
struct Notes(RefCell<Vec<&'static str>>);

impl Standing for Notes {
    async fn stand_back(&self) {
        self.0.borrow_mut().push("back");
    }

    async fn step_forward(&self) -> bool {
        self.0.borrow_mut().push("forward");
        true
    }

    fn pod_generation(&self) -> Option<u64> {
        None
    }
}

/// An address nobody listens on, as far as one can know.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn doors(metrics: SocketAddr) -> Doors {
    Doors { admin: None, metrics: Some(metrics), readiness: None, xds: None, xds_tls: None }
}

/// An older process, until a newcomer that does `newcomer` takes over; and what happened to it.
async fn older(
    run_dir: &Path,
    metrics: SocketAddr,
    newcomer: impl FnOnce() + Send + 'static,
) -> (Successor, Vec<&'static str>) {
    let doors = doors(metrics);
    let listeners = Listeners::open(&doors, run_dir, vec![]).unwrap();
    let socket = UnixListener::from_std(bind_unix(&run_dir.join(SOCKET)).unwrap()).unwrap();
    let newcomer = thread::spawn(newcomer);
    let notes = Notes::default();
    let Outcome::Succeeded(successor) = succeeded(&socket, &listeners, &notes).await else {
        panic!("displaced")
    };
    newcomer.join().unwrap();
    (successor, notes.0.into_inner())
}

#[tokio::test]
async fn a_newcomer_gets_the_listeners_and_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().to_owned();
    let metrics = free();
    let newcomer = move || {
        let (predecessor, handed) = ask(&run_dir, None).unwrap().unwrap();
        let doors = doors(metrics);
        // The address is still taken: only the handed listener can be this.
        Listeners::open(&doors, &run_dir, handed).unwrap();
        assert_eq!(predecessor.ready(7), Settled::Agreed);
    };
    let (successor, notes) = older(dir.path(), metrics, newcomer).await;
    assert_eq!((successor.generation, notes), (7, vec!["back"]));
}

#[tokio::test]
async fn one_that_ends_before_it_is_ready_leaves_the_older_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().to_owned();
    let newcomer = move || {
        drop(ask(&run_dir, None).unwrap().unwrap());
        let (predecessor, _) = ask(&run_dir, None).unwrap().unwrap();
        assert_eq!(predecessor.ready(8), Settled::Agreed);
    };
    let (_, notes) = older(dir.path(), free(), newcomer).await;
    assert_eq!(notes, ["back", "forward", "back"]);
}

#[test]
fn one_that_ends_without_an_answer_is_nobody_to_take_over_from() {
    let dir = tempfile::tempdir().unwrap();
    let socket = std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap();
    let older = thread::spawn(move || {
        let (io, _) = socket.accept().unwrap();
        // Nobody can connect before the newcomer learns of the end.
        drop(socket);
        drop(io);
    });
    assert!(ask(dir.path(), None).unwrap().is_none());
    older.join().unwrap();
}

#[test]
fn where_nobody_answers_there_is_nobody_to_take_over_from() {
    let dir = tempfile::tempdir().unwrap();
    assert!(ask(dir.path(), None).unwrap().is_none());
    drop(bind_unix(&dir.path().join(SOCKET)).unwrap());
    assert!(ask(dir.path(), None).unwrap().is_none());
}
