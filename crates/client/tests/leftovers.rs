//! What failed connections leave behind in the process, counted where they are real. A file of its own: other tests of the
//! same process would be counted too.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use sockeye_client::{Client, Reconnect, Tls, Transport};

/// Answers every connection in the same way until the program ends; its address.
fn serve(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).and_then(|_| stream.write_all(answer));
        }
    });
    address
}

/// Threads and open files of this process.
fn held() -> (usize, usize) {
    let count = |folder| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}

#[test]
fn a_thousand_failed_connects_leave_no_thread_no_task_and_no_file() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (silent, missing) = (serve(b""), serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
    let garbage = serve(b"\x15\x03\x01\x00\x02\x02\x28");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // Names are looked up in threads which the runtime keeps for a while.
        .thread_keep_alive(Duration::from_millis(1))
        .enable_all()
        .build()
        .unwrap();
    let before = held();
    runtime.block_on(async {
        for n in 0..1000 {
            let url = match n % 5 {
                0 => format!("http://{closed}"),
                1 => format!("http://{silent}"),
                2 => format!("https://{garbage}"),
                3 => format!("http://{}", missing.replace("127.0.0.1", "localhost")),
                _ => format!("http://{missing}"),
            };
            let way = if n / 5 % 2 == 0 { Transport::Polling } else { Transport::Websocket };
            let builder = Client::builder(&url).transports([way]).tls(Tls::new().danger_accept_any_certificate());
            let error = builder.reconnect(Reconnect::never()).connect().await.unwrap_err();
            assert!(error.is_unreachable(), "{url}: {error}");
        }
    });
    // The kernel and the runtime may need a moment for the last ones.
    let patience = Instant::now() + Duration::from_secs(30);
    while (held() != before || runtime.metrics().num_alive_tasks() > 0) && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert_eq!((held(), runtime.metrics().num_alive_tasks()), (before, 0));
}
