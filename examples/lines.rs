//! A form of packets of our own, for people with a terminal: one line of text for each packet.
//!
//! ```text
//! <kind> <namespace> <id or -> <name or -> <arguments, a JSON list>
//! event  /chat       12        say         ["hello"]
//! ```

use serde_json::from_str;
use sockeye::parser::{
    AckId, Content, CustomParser, Decoder, EncodeError, List, Message, NamespacePath, Outgoing, OwnedArgs, Packet,
    ProtocolError,
};

/// The parser, for `Server::builder().parser(Parser::custom(Lines))` and for clients alike.
#[derive(Clone, Copy, Debug)]
pub struct Lines;

impl CustomParser for Lines {
    fn encode(&self, packet: &Packet) -> Result<Outgoing, EncodeError> {
        let none = OwnedArgs::default();
        let (kind, id, name, args) = match &packet.content {
            Content::Ack { id, args } => ("ack", Some(*id), "-", args),
            Content::Connect(args) => ("connect", None, "-", args),
            Content::ConnectError(args) => ("refused", None, "-", args),
            Content::Disconnect => ("disconnect", None, "-", &none),
            Content::Event { name, .. } if name.contains(' ') => return Err(EncodeError::new("a name is one word")),
            Content::Event { name, id, args } => ("event", *id, name.as_str(), args),
        };
        let id = id.map_or_else(|| "-".to_owned(), |id| id.0.to_string());
        let list = serde_json::to_string(&List(args.clone())).map_err(EncodeError::new)?;
        Ok(Outgoing::text(&format!("{kind} {} {id} {name} {list}", packet.namespace)))
    }

    fn decoder(&self) -> Box<dyn Decoder> {
        // Every packet is one message: nothing is kept between two.
        Box::new(Self)
    }
}

impl Decoder for Lines {
    fn decode(&mut self, message: Message<'_>) -> Result<Option<Packet>, ProtocolError> {
        let Message::Text(line) = message else { return Err(ProtocolError::UnexpectedBinary) };
        read(line).ok_or(ProtocolError::InvalidPayload).map(Some)
    }
}

fn read(line: &str) -> Option<Packet> {
    let mut words = line.splitn(5, ' ');
    let (kind, path, id, name) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let List(args) = from_str(words.next()?).ok()?;
    let id = id.parse().ok().map(AckId);
    let content = match kind {
        "ack" => Content::Ack { id: id?, args },
        "connect" => Content::Connect(args),
        "disconnect" => Content::Disconnect,
        "event" => Content::Event { name: name.to_owned(), id, args },
        "refused" => Content::ConnectError(args),
        _ => return None,
    };
    Some(Packet { namespace: NamespacePath::parse(path).ok()?.0, content })
}
