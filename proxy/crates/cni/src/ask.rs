//! The plugin's way to the node: one question, one answer, bounded in time.
use crate::message::{Answer, Question, line, read};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    io::{self, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// How long a node may take to accept, and to hear the question.
const WORD: Duration = Duration::from_secs(5);

/// Asks the node that listens at `socket`, and waits `patience` for its answer.
///
/// # Errors
///
/// When nobody is there, or whoever is does not answer.
pub fn ask(socket: &Path, question: &Question, patience: Duration) -> io::Result<Answer> {
    // Connecting waits where too many do; the limit of writing holds for it.
    let opened = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    opened.set_write_timeout(Some(WORD))?;
    opened.set_read_timeout(Some(patience))?;
    opened.connect(&SockAddr::unix(socket)?)?;
    let mut io = UnixStream::from(std::os::fd::OwnedFd::from(opened));
    io.write_all(&line(question))?;
    read(&io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Ask;
    use std::{os::unix::net::UnixListener, thread};

    #[test]
    fn a_node_that_answers_is_heard_and_one_that_ends_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cni.sock");
        let gone = ask(&path, &Ask::Status.now(), WORD).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        let node = thread::spawn(move || {
            let (mut io, _) = listener.accept().unwrap();
            let asked: Question = read(&io).unwrap();
            io.write_all(&line(&Answer::Done)).unwrap();
            // The second one ends without a word.
            drop(listener.accept().unwrap());
            asked
        });
        assert_eq!(ask(&path, &Ask::Status.now(), WORD).unwrap(), Answer::Done);
        ask(&path, &Ask::Status.now(), WORD).unwrap_err();
        assert_eq!(node.join().unwrap(), Ask::Status.now());
        let refused = ask(&path, &Ask::Status.now(), WORD).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
}
