//! An SMTP server that takes every mail at once and keeps none: what a relay costs when it costs nothing. It counts;
//! `COUNT`, which no client says, answers how many mails it has taken.
//!
//! `sink --listen HOST:PORT`

use std::{cell::Cell, rc::Rc};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{LocalSet, spawn_local},
};
use usher_bench::{Flags, fail};

fn main() {
    let addr = Flags::after(0).text("listen").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener =
            TcpListener::bind(&addr).await.unwrap_or_else(|error| fail(&format!("{addr}: {error}")));
        let taken = Rc::new(Cell::new(0));
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                spawn_local(serve(stream, taken.clone()));
            }
        }
    });
}

/// One connection; it ends when the client says so or goes away.
async fn serve(mut stream: TcpStream, taken: Rc<Cell<usize>>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    stream.write_all(b"220 sink ready\r\n").await.ok()?;
    let (mut buffer, mut in_mail) = (Vec::with_capacity(64 * 1024), false);
    loop {
        let end: &[u8] = if in_mail { b"\r\n.\r\n" } else { b"\r\n" };
        let Some(at) = memmem::find(&buffer, end) else {
            if stream.read_buf(&mut buffer).await.ok()? == 0 {
                return None;
            }
            continue;
        };
        let said: Vec<u8> = buffer.drain(..at + end.len()).collect();
        let word = said.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match word.as_slice() {
            _ if in_mail => {
                in_mail = false;
                taken.set(taken.get() + 1);
                "250 taken\r\n".to_owned()
            }
            b"EHLO" => "250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n".to_owned(),
            b"DATA" => {
                in_mail = true;
                "354 go on\r\n".to_owned()
            }
            b"COUN" => format!("250 {}\r\n", taken.get()),
            b"QUIT" => {
                stream.write_all(b"221 bye\r\n").await.ok()?;
                return None;
            }
            _ => "250 ok\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}
