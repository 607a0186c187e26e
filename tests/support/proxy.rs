//! A road between the server and its database that a test can break: cut, closed, or silent, as a cable that was
//! pulled. Runs on threads of its own.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

#[derive(Default)]
struct State {
    upstream: Option<String>,
    connections: Vec<Connection>,
}

/// One connection through the road.
struct Connection {
    ends: [TcpStream; 2],
    silent: Arc<AtomicBool>,
}

/// The road; clones share it.
#[derive(Clone)]
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port of loopback until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let proxy = Self { addr, state: Arc::default(), closed: Arc::default() };
        let shared = proxy.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if !shared.closed.load(Ordering::Acquire) {
                    // whose other end cannot be reached is closed, as the other end would
                    let _ = shared.join(stream);
                }
            }
        });
        proxy
    }

    /// The same database by this road.
    pub fn instead_of(&self, url: &str) -> String {
        let (head, rest) = url.split_once('@').unwrap();
        let (upstream, database) = rest.split_once('/').unwrap();
        self.state.lock().unwrap().upstream = Some(upstream.to_owned());
        format!("{head}@{}/{database}", self.addr)
    }

    /// Closes every connection and lets no new one through.
    pub fn cut(&self) {
        self.closed.store(true, Ordering::Release);
        self.disconnect();
    }

    /// Closes every connection; new ones get through.
    pub fn disconnect(&self) {
        for connection in self.state.lock().unwrap().connections.drain(..) {
            for end in connection.ends {
                // it may have ended by itself
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }

    /// Connections that there are now stay open and carry nothing any more; new ones get through.
    pub fn silence(&self) {
        for connection in &self.state.lock().unwrap().connections {
            connection.silent.store(true, Ordering::Release);
        }
    }

    /// Lets new connections through.
    pub fn mend(&self) {
        self.closed.store(false, Ordering::Release);
    }

    fn join(&self, near: TcpStream) -> std::io::Result<()> {
        let upstream = self.state.lock().unwrap().upstream.clone().unwrap();
        let far = TcpStream::connect(upstream)?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let silent = Arc::new(AtomicBool::new(false));
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to, silent) = (from.try_clone()?, to.try_clone()?, silent.clone());
            std::thread::spawn(move || carry(from, to, &silent));
        }
        self.state.lock().unwrap().connections.push(Connection { ends: [near, far], silent });
        Ok(())
    }
}

/// Carries bytes one way until either end is gone.
fn carry(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count) = from.read(&mut buffer) {
        if silent.load(Ordering::Acquire) {
            // also the end of one side is not told to the other
            if count == 0 {
                return;
            }
            continue;
        }
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
