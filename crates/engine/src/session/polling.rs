//! One GET and one POST at a time.                                                      [EIO4 "HTTP long-polling"]

/// The requests of the polling transport which are under way, seen from either side.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Server: a GET waits for its answer. Client: a GET was sent and its answer has not arrived.
    get: bool,
    /// Server: whether the last answer may have held anything whose loss would matter.
    carried: bool,
    /// Client only: a server knows a POST only when it is complete.
    post: Post,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Post {
    #[default]
    None,
    /// Packets were given out for its body.
    Filling,
    /// It was sent, and its answer has not arrived.
    Sent,
}

impl Requests {
    /// A GET begins; false if one is under way already.
    pub(super) fn begin_get(&mut self) -> bool {
        if self.get {
            return false;
        }
        self.get = true;
        self.carried = false;
        true
    }

    /// Client: the GET was answered.
    pub(super) fn end_get(&mut self) {
        self.get = false;
    }

    /// Server: the GET is answered, with `carried` unless by NOOP alone.
    pub(super) fn answer_get(&mut self, carried: bool) {
        self.get = false;
        self.carried = carried;
    }

    /// A packet was given out for the body of a POST.
    pub(super) fn fill_post(&mut self) {
        self.post = Post::Filling;
    }

    /// The body is complete and on its way; nothing to do if there is none.
    pub(super) fn send_post(&mut self) {
        if self.post == Post::Filling {
            self.post = Post::Sent;
        }
    }

    /// The POST was answered.
    pub(super) fn end_post(&mut self) {
        self.post = Post::None;
    }

    /// All requests have come to nothing.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a GET is under way.
    pub(super) fn has_get(&self) -> bool {
        self.get
    }

    /// Whether an answer was given that may be lost.
    pub(super) fn has_carried(&self) -> bool {
        self.carried
    }

    /// Whether packets may be given out for the body of a POST.
    pub(super) fn may_post(&self) -> bool {
        self.post != Post::Sent
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        !self.get && self.post == Post::None
    }
}
