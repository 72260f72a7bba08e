//! Proxies: HTTP CONNECT and SOCKS5.                                            [RFC 9110 §9.3.6, RFC 1928, RFC 1929]

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::address::split_port;
use crate::error::ConfigError;

/// A proxy through which all connections to the server go. The proxy resolves the server's name.
///
/// ```
/// use sockeye_client::Proxy;
///
/// let proxy: Proxy = "socks5://user:password@proxy.example:1080".parse()?;
/// # Ok::<(), sockeye_client::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    pub(crate) host: String,
    pub(crate) port: u16,
    credentials: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl fmt::Debug for Proxy {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?}, {}:{})", self.kind, self.host, self.port)
    }
}

impl std::str::FromStr for Proxy {
    type Err = ConfigError;

    /// Reads `http://` or `socks5://`, `[user:password@]host[:port]`. Without a port it is 80 or 1080.
    fn from_str(url: &str) -> Result<Self, ConfigError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let (kind, usual) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (Kind::Http, 80),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(ConfigError::new("a proxy begins with http:// or socks5://")),
        };
        let rest = rest.trim_end_matches('/');
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => {
                (Some(credentials.split_once(':').unwrap_or((credentials, ""))), authority)
            }
            None => (None, rest),
        };
        match split_port(authority) {
            Some((host, port)) if !host.is_empty() => Ok(Self {
                kind,
                host: host.to_owned(),
                port: port.unwrap_or(usual),
                credentials: credentials.map(|(user, password)| (user.to_owned(), password.to_owned())),
            }),
            _ => Err(ConfigError::new("a proxy needs a host, and its port must be a number")),
        }
    }
}

impl Proxy {
    /// Asks the proxy behind `io` for a connection to the server.
    pub(crate) async fn tunnel<I>(&self, io: &mut I, host: &str, port: u16) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + ?Sized,
    {
        match self.kind {
            Kind::Http => self.connect(io, host, port).await,
            Kind::Socks5 => self.socks(io, host, port).await,
        }
    }

    async fn connect<I: AsyncRead + AsyncWrite + Unpin + ?Sized>(
        &self,
        io: &mut I,
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some((user, password)) = &self.credentials {
            let credentials = STANDARD.encode(format!("{user}:{password}"));
            head.extend(["Proxy-Authorization: Basic ", &credentials, "\r\n"]);
        }
        head.push_str("\r\n");
        io.write_all(head.as_bytes()).await?;
        io.flush().await?;
        let answer = read_head(io).await?;
        let mut words = answer.split(|byte| *byte == b' ');
        match (words.next(), words.next()) {
            (Some(version), Some([b'2', _, _])) if version.starts_with(b"HTTP/1.") => Ok(()),
            (Some(version), Some(status)) if version.starts_with(b"HTTP/1.") => {
                let status = String::from_utf8_lossy(status.get(..3).unwrap_or_default()).into_owned();
                Err(io::Error::other(format!("the proxy answered with status {status}")))
            }
            _ => Err(io::Error::other("the proxy does not speak HTTP")),
        }
    }

    async fn socks<I: AsyncRead + AsyncWrite + Unpin + ?Sized>(
        &self,
        io: &mut I,
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        let method = if self.credentials.is_some() { PASSWORD } else { NO_PASSWORD };
        io.write_all(&[VERSION, 1, method]).await?;
        io.flush().await?;
        let mut choice = [0; 2];
        io.read_exact(&mut choice).await?;
        if choice != [VERSION, method] {
            return Err(io::Error::other("the proxy does not speak SOCKS5, or wants other credentials"));
        }
        if let Some((user, password)) = &self.credentials {
            let mut message = vec![1];
            push_text(&mut message, user)?;
            push_text(&mut message, password)?;
            io.write_all(&message).await?;
            io.flush().await?;
            io.read_exact(&mut choice).await?;
            if choice[1] != 0 {
                return Err(io::Error::other("the proxy did not take the credentials"));
            }
        }
        io.write_all(&socks_request(host, port)?).await?;
        io.flush().await?;
        read_socks_answer(io).await
    }
}

/// ```text
/// version, command, 0, kind of address, address, port (big-endian)
/// ```
fn socks_request(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Err(_) => {
            request.push(NAME);
            push_text(&mut request, host)?;
        }
    }
    request.extend(port.to_be_bytes());
    Ok(request)
}

async fn read_socks_answer<I: AsyncRead + Unpin + ?Sized>(io: &mut I) -> io::Result<()> {
    let mut head = [0; 4];
    io.read_exact(&mut head).await?;
    if head[0] != VERSION || head[1] != 0 {
        return Err(io::Error::other(format!("the proxy refused with code {}", head[1])));
    }
    let length = match head[3] {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(io.read_u8().await?),
        _ => return Err(io::Error::other("the proxy does not speak SOCKS5")),
    };
    let mut rest = vec![0; length + 2];
    io.read_exact(&mut rest).await.map(|_| ())
}

/// Reads up to the empty line, and not a byte more: what follows belongs to the server.
async fn read_head<I: AsyncRead + Unpin + ?Sized>(io: &mut I) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD {
            return Err(io::Error::other("the answer of the proxy is too long"));
        }
        head.push(io.read_u8().await?);
    }
    Ok(head)
}

fn push_text(message: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let length = u8::try_from(text.len()).map_err(|_| io::Error::other("too long for SOCKS5: more than 255 bytes"))?;
    message.push(length);
    message.extend(text.bytes());
    Ok(())
}

const MAX_HEAD: usize = 16 * 1024;
const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy which expects `script`'s first halves and answers with the second ones.
    async fn talk(proxy: &str, host: &str, script: &[(&[u8], &[u8])]) -> io::Result<()> {
        let proxy: Proxy = proxy.parse().unwrap();
        let (mut near, mut far) = tokio::io::duplex(1024);
        let serve = async {
            for (wanted, answer) in script {
                let mut got = vec![0; wanted.len()];
                far.read_exact(&mut got).await.unwrap();
                assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(wanted));
                far.write_all(answer).await.unwrap();
            }
        };
        tokio::join!(proxy.tunnel(&mut near, host, 443), serve).0
    }

    #[tokio::test]
    async fn http_proxies() {
        let asked = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
        talk("proxy:3128", "a.example", &[(asked, b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n")]).await.unwrap();
        let error = talk("proxy", "a.example", &[(asked, b"HTTP/1.1 407 No\r\n\r\n")]).await.unwrap_err();
        assert_eq!(error.to_string(), "the proxy answered with status 407");
        assert!(talk("proxy", "a.example", &[(asked, b"SSH-2.0 hello\r\n\r\n")]).await.is_err());
        let asked = b"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n";
        talk("http://u:p@proxy/", "::1", &[(asked, b"HTTP/1.0 200 OK\r\n\r\n")]).await.unwrap();
    }

    #[tokio::test]
    async fn socks_proxies() {
        let name = b"\x05\x01\x00\x03\x09a.example\x01\xbb";
        let done = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00";
        talk("socks5://proxy", "a.example", &[(b"\x05\x01\x00", b"\x05\x00"), (name, done)]).await.unwrap();
        let four = b"\x05\x01\x00\x01\x7f\x00\x00\x01\x01\xbb";
        let named = b"\x05\x00\x00\x03\x01a\x00\x00";
        let login = (&b"\x01\x01u\x01p"[..], &b"\x01\x00"[..]);
        let script = [(&b"\x05\x01\x02"[..], &b"\x05\x02"[..]), login, (four, named)];
        talk("socks5://u:p@proxy", "127.0.0.1", &script).await.unwrap();
        let refused = [(&b"\x05\x01\x00"[..], &b"\x05\x00"[..]), (name, b"\x05\x05\x00\x01")];
        let error = talk("socks5h://proxy", "a.example", &refused).await.unwrap_err();
        assert_eq!(error.to_string(), "the proxy refused with code 5");
        assert!(talk("socks5://proxy", "a.example", &[(b"\x05\x01\x00", b"\x05\xff")]).await.is_err());
    }

    #[test]
    fn proxies_are_read_and_keep_their_secret() {
        let proxy: Proxy = "socks5://user:secret@[::1]:9".parse().unwrap();
        assert_eq!(format!("{proxy:?}"), "Proxy(Socks5, ::1:9)");
        assert_eq!("http://p".parse::<Proxy>().unwrap().port, 80);
        for bad in ["", "ftp://p", "http://", "http://p:x"] {
            assert!(bad.parse::<Proxy>().is_err(), "{bad}");
        }
    }
}
