//! A service of an application of several: it says its name, and what those said that it asked.
use crate::{
    message::{Client, Message},
    plain, say, sockets,
};
use serde_json::{Map, Value, json};
use std::{
    io::{self, BufReader, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

const STACK: usize = 256 * 1024;

/// What is passed on of a request, so that all services know whose it is.
const PASSED_ON: &[&str] = &["end-user", "x-request-id"];

#[derive(Debug)]
struct Service {
    name: String,
    /// Whom it asks: `NAME:PORT`.
    next: Vec<String>,
    /// Requests of those of which only every third is answered.
    turns: AtomicU64,
}

/// Serves HTTP until killed.
///
/// `…/health` asks nobody; of `…/fails` and `…/hangs` only each third request goes well.
pub(crate) fn run(name: &str, at: SocketAddr, next: &[&str]) -> io::Result<()> {
    let service = Arc::new(Service {
        name: name.to_owned(),
        next: next.iter().map(|&next| next.to_owned()).collect(),
        turns: AtomicU64::default(),
    });
    let listener = sockets::listen(at)?;
    say(&json!({"listening": plain(listener.local_addr()?)}));
    for stream in listener.incoming() {
        let (stream, service) = (stream?, Arc::clone(&service));
        // Whoever is not answered knows it.
        let serve = move || drop(service.serve(&stream));
        thread::Builder::new().stack_size(STACK).spawn(serve)?;
    }
    Ok(())
}

impl Service {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = Message::read(&mut reader)? {
            let path = request.second();
            let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
            let (status, body) = match last {
                "hangs" if !self.is_third() => {
                    // Until its client gives up.
                    io::copy(&mut reader, &mut io::sink())?;
                    return Ok(());
                }
                "fails" if !self.is_third() => ("503 Service Unavailable", json!("not now")),
                "health" => ("200 OK", json!({"name": self.name})),
                _ => ("200 OK", self.answer(&request)),
            };
            say(&json!({"asked": path, "by": request.field("end-user")}));
            let (name, body) = (&self.name, body.to_string());
            let length = body.len();
            let mut writer = stream;
            write!(
                writer,
                "HTTP/1.1 {status}\r\nx-name: {name}\r\ncontent-length: {length}\r\n\r\n{body}"
            )?;
        }
        Ok(())
    }

    fn is_third(&self) -> bool {
        self.turns.fetch_add(1, Ordering::Relaxed) % 3 == 2
    }

    fn answer(&self, request: &Message) -> Value {
        let passed = |name: &&str| Some(format!("{name}: {}", request.field(name)?));
        let passed: Vec<String> = PASSED_ON.iter().filter_map(passed).collect();
        let passed: Vec<&str> = passed.iter().map(String::as_str).collect();
        let asked = self.next.iter().map(|next| {
            let answer = Client::connect(next).and_then(|mut client| client.get("/", &passed));
            let answer = match answer {
                Ok(answer) => {
                    let said: Value = serde_json::from_str(&answer.body)
                        .unwrap_or_else(|_not_ours| answer.body.clone().into());
                    json!({"status": answer.second(), "said": said})
                }
                Err(error) => json!({"status": "none", "said": error.to_string()}),
            };
            (next.clone(), answer)
        });
        json!({"name": self.name, "asked": asked.collect::<Map<_, _>>()})
    }
}
