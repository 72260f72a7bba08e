//! Generated messages of a connection that speaks JSON: damaged ones, and ones put together of parts that are well-formed
//! each, or nearly so.

use sockeye_fuzz_targets::mutation::Random;

use crate::corpus::{Arriving, CHARACTERS, NUMBERS, damaged, mostly, one};

const COUNTS: [&str; 10] = ["0", "01", "1e0", " 1", "+1", "1.0", "0x1", "-1", "", "11"];
const PATHS: [&str; 4] = ["/admin,", "/,", "/other,", "/admin,"];
const ODD_PATHS: [&str; 9] =
    ["/admin", "/admin?x=1,", "/other?a=b&c=%20,", "/é\u{1f600},", "//,", "/admin/,", "/?x,", "admin,", "/a\u{0},"];
const IDS: [&str; 4] = ["0", "7", "12", "9007199254740992"];
const ODD_IDS: [&str; 10] = [
    "007",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "-1",
    "1.5",
    " 1",
    "1e3",
    "\u{661}",
];
const NAMES: [&str; 4] = ["\"event\"", "\"\"", "1e3", "\"\\u00e9\\ud83d\\ude00\""];
const ODD_NAMES: [&str; 12] = [
    "-0",
    "1E400",
    "123456789012345678",
    "null",
    "true",
    "[]",
    "\"connect\"",
    "\"conn\\u0065ct\"",
    "\"connect_error\"",
    "\"__proto__\"",
    "\"\\ud800\"",
    "{\"_placeholder\":true,\"num\":0}",
];
const KEYS: [&str; 12] =
    ["a", "b", "é", "", "1", "__proto__", "constructor", "toString", "num", "\\u0061", "\\ud800", "_placeholder"];
const SPACES: [&str; 4] = ["", " ", "\t", "\r\n "];
const ODD_SPACES: [&str; 5] = ["\u{a0}", "\u{feff}", "\u{b}", "\u{0}", "\u{2028}"];
const ESCAPES: [&str; 16] = [
    "\\\"",
    "\\\\",
    "\\/",
    "\\b",
    "\\f",
    "\\n",
    "\\r",
    "\\t",
    "\\u0000",
    "\\u0041",
    "\\uD83D\\uDE00",
    "\\ud800",
    "\\ude00",
    "\\ud83d\\u0041",
    "\\uffff",
    "\\u2028",
];
/// Code units at which encodings change.
const UNITS: [&str; 16] = [
    "\\u0000", "\\u001F", "\\u007f", "\\u0080", "\\u07ff", "\\u0800", "\\ud7ff", "\\ud800", "\\uD800", "\\udbff",
    "\\uDBFF", "\\udc00", "\\uDC00", "\\udfff", "\\uDFFF", "\\ue000",
];
const ODD_ESCAPES: [&str; 6] = ["\\x", "\\u12", "\\", "\u{1}", "\n", "\\U0041"];
const ODD_NUMBERS: [&str; 12] =
    ["01", "1.", ".5", "+1", "-", "NaN", "Infinity", "0x1", "1e", "1_0", "-01", "undefined"];
/// What `num` of a placeholder may be.
const NUMS: [&str; 3] = ["0", "0", "1"];
const ODD_NUMS: [&str; 14] =
    ["2", "-1", "-0", "0.0", "0.5", "1e0", "\"0\"", "null", "true", "[]", "{}", "[0]", "9", "18446744073709551616"];

/// One to three packets, and the bytes that they announce, or nearly so.
pub(crate) fn messages(random: &mut Random) -> Vec<Arriving> {
    let mut messages = Vec::new();
    for _ in 0..=random.below(3) {
        let header = if random.below(2) == 0 { seeded(random) } else { composed(random) };
        let announced = header.strip_prefix(['5', '6']).and_then(|rest| rest.split('-').next()?.parse().ok());
        let count = announced.unwrap_or(0_usize).min(12);
        messages.push(Ok(header));
        let count = match random.below(30) {
            0 => count + 1,
            1 => count.saturating_sub(1),
            _ => count,
        };
        messages
            .extend((0..count).map(|_| Err((0..random.below(4)).map(|_| random.number().to_le_bytes()[0]).collect())));
    }
    messages
}

fn seeded(random: &mut Random) -> String {
    let place = r#"{"_placeholder":true,"num":0}"#;
    let seeds = [
        r#"2["event",1,"two",{"three":[3]}]"#.to_owned(),
        format!(r#"2/admin,12["event",{}]"#, one(&NUMBERS, random)),
        r#"31[{"a":null}]"#.to_owned(),
        format!("51-[\"event\",{place}]"),
        format!("61-/admin,7[{place},[]]"),
        r#"52-["event",{"_placeholder":true,"num":1},{"x":{"_placeholder":true,"num":0}}]"#.to_owned(),
        r#"2["\u0061\ud83d\ude00\ud800","\\\"\/\b\f\n\r\t"]"#.to_owned(),
        r#"2[5,{"_placeholder":false},{"__proto__":1,"a":1,"a":2}]"#.to_owned(),
        r#"0/other,{"token":"x"}"#.to_owned(),
        "1".to_owned(),
        r#"2[ "event" , [ ] , { } ]"#.to_owned(),
        "2[\"event\",tru]".to_owned(),
        r#"4/other,{"message":"no","data":[1]}"#.to_owned(),
    ];
    let seeds: Vec<&[u8]> = seeds.iter().map(String::as_bytes).collect();
    String::from_utf8_lossy(&damaged(&seeds, random)).into_owned()
}

fn composed(random: &mut Random) -> String {
    let kind = *mostly(&["2", "2", "5", "5", "3", "6"], &["0", "1", "4", "7"], random);
    let count = match kind {
        "5" | "6" if random.below(16) == 0 => format!("{}-", one(&COUNTS, random)),
        "5" | "6" => format!("{}-", 1 + random.below(3)),
        _ => String::new(),
    };
    let path = if random.below(2) == 0 { "" } else { mostly(&PATHS, &ODD_PATHS, random) };
    let has_id = matches!(kind, "3" | "6") != (random.below(8) == 0);
    let id = if has_id || random.below(3) == 0 { mostly(&IDS, &ODD_IDS, random) } else { "" };
    let places = matches!(kind, "5" | "6") || random.below(8) == 0;
    let payload = match kind {
        "0" | "4" => match random.below(4) {
            0 => String::new(),
            1 => value(random, 3, false),
            2 => r#"{"sid":"s","message":"no\ud800"}"#.to_owned(),
            _ => object(random, 3, false),
        },
        "1" if random.below(4) > 0 => String::new(),
        _ => list(random, kind, places),
    };
    let before = if random.below(40) == 0 { one(&["\u{feff}", " ", "-", "x", "\""], random) } else { "" };
    let after = if random.below(40) == 0 { one(&["]", "x", ",", "\u{0}", " ", "\u{feff}"], random) } else { "" };
    format!("{kind}{count}{path}{id}{before}{payload}{after}")
}

/// `[name, …]`, or without the name.
fn list(random: &mut Random, kind: &str, places: bool) -> String {
    let name = matches!(kind, "2" | "5").then(|| match random.below(8) {
        0 => number(random),
        1 => string(random),
        _ => (*mostly(&NAMES, &ODD_NAMES, random)).to_owned(),
    });
    let args: Vec<String> = (0..random.below(4)).map(|_| value(random, 3, places)).collect();
    let items: Vec<String> = name.into_iter().chain(args).map(|item| spaced(&item, random)).collect();
    format!("[{}]", items.join(","))
}

fn value(random: &mut Random, depth: usize, places: bool) -> String {
    if places && random.below(3) == 0 {
        return placeholder(random);
    }
    match random.below(if depth == 0 { 6 } else { 10 }) {
        0 => (*mostly(&["null", "true", "false"], &["nul", "True", "falsee"], random)).to_owned(),
        1 | 2 if random.below(60) == 0 => (*one(&ODD_NUMBERS, random)).to_owned(),
        1 | 2 => number(random),
        3 | 4 => string(random),
        5 if random.below(20) == 0 => deep(random),
        5 => "[]".to_owned(),
        6 | 7 => {
            let items: Vec<String> = (0..random.below(4)).map(|_| value(random, depth - 1, places)).collect();
            format!("[{}]", items.iter().map(|item| spaced(item, random)).collect::<Vec<_>>().join(","))
        }
        _ => object(random, depth - 1, places),
    }
}

/// A known one, or digits of any number, behind and before the point and in the exponent.
fn number(random: &mut Random) -> String {
    if random.below(2) == 0 {
        return (*one(&NUMBERS, random)).to_owned();
    }
    let mut text = String::new();
    if random.below(4) == 0 {
        text.push('-');
    }
    let most = [1, 3, 17, 25][random.below(4)];
    match digits(random, most).trim_start_matches('0') {
        "" => text.push('0'),
        whole => text += whole,
    }
    if random.below(2) == 0 {
        text.extend([".", &random.below(10).to_string(), &digits(random, 24)]);
    }
    if random.below(3) == 0 {
        text.extend([*one(&["e", "E", "e+", "e-", "e-"], random), &random.below(340).to_string()]);
    }
    text
}

fn digits(random: &mut Random, most: usize) -> String {
    (0..random.below(most + 1)).map(|_| random.below(10).to_string()).collect()
}

fn object(random: &mut Random, depth: usize, places: bool) -> String {
    let pairs: Vec<String> = (0..random.below(5))
        .map(|_| {
            let key = format!("\"{}\"", one(&KEYS, random));
            format!("{}:{}", spaced(&key, random), spaced(&value(random, depth, places), random))
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}

/// Around the limit of 128 levels, of which the list around it is one.
fn deep(random: &mut Random) -> String {
    let levels = 120 + random.below(12);
    let (open, close) = *one(&[("[", "]"), ("{\"a\":", "}")], random);
    format!("{}0{}", open.repeat(levels), close.repeat(levels))
}

/// In every order, with other keys around, keys twice, and numbers that are none.
fn placeholder(random: &mut Random) -> String {
    if random.below(2) == 0 {
        return format!(r#"{{"_placeholder":true,"num":{}}}"#, mostly(&NUMS, &ODD_NUMS, random));
    }
    let mark = mostly(&["true"], &["false", "1", "\"true\"", "null"], random);
    let mut members = vec![
        format!("\"{}\":{mark}", mostly(&["_placeholder"], &["\\u005fplaceholder", "_Placeholder"], random)),
        format!("\"num\":{}", mostly(&NUMS, &ODD_NUMS, random)),
    ];
    if random.below(3) == 0 {
        members.push(format!("\"{}\":{}", one(&KEYS, random), value(random, 1, true)));
    }
    if random.below(6) == 0 {
        members.push(format!("\"num\":{}", mostly(&NUMS, &ODD_NUMS, random)));
    }
    if random.below(12) == 0 {
        members.push("\"_placeholder\":false".to_owned());
    }
    if random.below(3) == 0 {
        let at = random.below(members.len());
        members.rotate_left(at);
    }
    if random.below(12) == 0 {
        members.pop();
    }
    let members: Vec<String> = members.iter().map(|member| spaced(member, random)).collect();
    format!("{{{}}}", members.join(","))
}

fn string(random: &mut Random) -> String {
    let mut text = "\"".to_owned();
    for _ in 0..random.below(8) {
        match random.below(4) {
            0 if random.below(60) == 0 => text += *one(&ODD_ESCAPES, random),
            0 => text += *one(&ESCAPES, random),
            1 => text += *one(&UNITS, random),
            _ => text.extend(Some(*one(&CHARACTERS, random)).filter(|c| !matches!(c, '"' | '\\' | '\0'..' '))),
        }
    }
    text + "\""
}

fn spaced(text: &str, random: &mut Random) -> String {
    match random.below(12) {
        0 if random.below(40) == 0 => format!("{text}{}", one(&ODD_SPACES, random)),
        0 => format!("{}{text}{}", one(&SPACES, random), one(&SPACES, random)),
        _ => text.to_owned(),
    }
}
