//! Cookies which the server sets while a session lasts: sticky sessions behind a load balancer depend on them.

use std::time::{Duration, SystemTime};

/// Most cookies kept, and most bytes of one: what browsers keep for a site, and what they take.
const MAX_COOKIES: usize = 50;
const MAX_LENGTH: usize = 4096;

/// The cookies of one session. All requests of a session go to one address, so neither domain nor path matter.
/// [RFC 6265 §5.2, §5.3]
#[derive(Debug, Default)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    expires: Option<SystemTime>,
}

impl Jar {
    /// Takes the value of a `Set-Cookie` header. What cannot be read is passed over.
    pub(crate) fn set(&mut self, header: &str, now: SystemTime) {
        let mut parts = header.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let (name, value) = (name.trim(), value.trim());
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let is_clean = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';' || byte == b' ');
        if name.is_empty() || header.len() > MAX_LENGTH || !is_clean(name) || !is_clean(value) {
            return;
        }
        let (mut expires, mut max_age) = (None, None);
        for (key, value) in parts.filter_map(|attribute| attribute.split_once('=')) {
            match key.trim().to_ascii_lowercase().as_str() {
                // A date which cannot be read must not turn a deletion into a cookie that is kept for ever.
                "expires" => expires = Some(httpdate::parse_http_date(value.trim()).unwrap_or(SystemTime::UNIX_EPOCH)),
                "max-age" => max_age = Some(after(now, value.trim())),
                _ => {}
            }
        }
        self.0.retain(|cookie| cookie.name != name);
        let cookie = Cookie { name: name.to_owned(), value: value.to_owned(), expires: max_age.or(expires) };
        if self.0.len() < MAX_COOKIES && !cookie.is_expired(now) {
            self.0.push(cookie);
        }
    }

    /// The value of the `Cookie` header, after what the application sends itself.
    pub(crate) fn header(&mut self, own: Option<&str>, now: SystemTime) -> Option<String> {
        self.0.retain(|cookie| !cookie.is_expired(now));
        let jar = self.0.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let all: Vec<_> = own.map(str::to_owned).into_iter().chain(jar).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Cookie {
    fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The time of a `Max-Age`, which wins over `Expires`. Zero, less, and what is no number delete. [RFC 6265 §5.2.2]
fn after(now: SystemTime, max_age: &str) -> SystemTime {
    let seconds = max_age.parse::<i64>().ok().and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    if seconds == 0 {
        return SystemTime::UNIX_EPOCH;
    }
    now.checked_add(Duration::from_secs(seconds.min(u64::from(u32::MAX)))).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(headers: &[&str], later: u64) -> Option<String> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut jar = Jar::default();
        for header in headers {
            jar.set(header, now);
        }
        jar.header(None, now + Duration::from_secs(later))
    }

    #[test]
    fn cookies_are_sent_back_in_order() {
        assert_eq!(jar(&["a=1; Path=/", "b=\"2\"; HttpOnly", "a=3"], 0).unwrap(), "b=2; a=3");
        assert_eq!(jar(&["io = x = y ; Path=/"], 0).unwrap(), "io=x = y");
        assert_eq!(jar(&[], 0), None);
    }

    #[test]
    fn cookies_expire() {
        assert_eq!(jar(&["a=1; Max-Age=10"], 9).unwrap(), "a=1");
        assert_eq!(jar(&["a=1; max-age=10"], 10), None);
        assert_eq!(jar(&["a=1", "a=; MAX-AGE=0"], 0), None);
        assert_eq!(jar(&["a=1", "a=; Max-Age=-1"], 0), None);
        assert_eq!(jar(&["a=1; Max-Age=soon"], 0), None);
        assert_eq!(jar(&["a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT"], 0), None);
        assert_eq!(jar(&["a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=60"], 0).unwrap(), "a=1");
        assert_eq!(jar(&["a=1; Expires=never"], 0), None);
        assert_eq!(jar(&["a=1; Max-Age=99999999999999999999"], 0), None, "no number that fits");
    }

    #[test]
    fn what_is_no_cookie_is_passed_over() {
        let long = format!("a={}", "x".repeat(5000));
        for header in ["", "a", "=1", ";a=1", "a\r\nX: y=1", "a=1\r\nX: y", "é=1", &long] {
            assert_eq!(jar(&[header], 0), None, "{header}");
        }
        let many: Vec<_> = (0..100).map(|n| format!("c{n}=1")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(jar(&many, 0).unwrap().split("; ").count(), MAX_COOKIES);
    }

    #[test]
    fn the_application_comes_first() {
        let mut jar = Jar::default();
        jar.set("b=2", SystemTime::UNIX_EPOCH);
        assert_eq!(jar.header(Some("a=1"), SystemTime::UNIX_EPOCH).unwrap(), "a=1; b=2");
    }
}
