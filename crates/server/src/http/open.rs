//! Opening a session.                                                                        [EIO4 "handshake"]

use std::sync::Arc;

use http::header::SET_COOKIE;
use http::{Response, request};
use sockeye_engine::Sid;

use super::denial::Denial;
use super::polling::Manner;
use super::route::{Opening, enter, request_peer};
use super::{Body, polling, upgrade};
use crate::core::Core;
use crate::error::Refusal;
use crate::hooks::ErrorContext;
use crate::id::random_id;
use crate::limits::Limit;
use crate::link::{self, Link};
use crate::panics::{Panicked, call, call_slow};
use crate::peer::Peer;
use crate::session::task::Task;

/// Longest id that an application's generator may make.
const MAX_ID: usize = 64;

/// Opens a session if the application lets it.
pub(crate) async fn open(
    core: &Arc<Core>,
    parts: &mut request::Parts,
    opening: Opening,
) -> Result<Response<Body>, Denial> {
    let link = admit(core, parts, opening).await?;
    if opening.carrier.is_stream() {
        return upgrade::open_stream(core, parts, link);
    }
    enter(core, &link)?;
    let now = tokio::time::Instant::now().into_std();
    Task::polling(Arc::clone(core), Arc::clone(&link), now).spawn();
    let cookie = core.config.cookie.as_ref().and_then(|cookie| cookie.header(link.sid.as_str()));
    let mut response = polling::response(link, Manner::of(&core.config, parts)).await;
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// The session, not yet entered, if there is room for it and the application lets it: on every transport alike.
pub(crate) async fn admit(core: &Arc<Core>, parts: &request::Parts, opening: Opening) -> Result<Arc<Link>, Denial> {
    if !core.is_open() {
        return Err(Denial::closing());
    }
    let peer = request_peer(parts);
    if !core.config.leaves_room(peer.handshake().size()) {
        core.metrics.limits.up(Limit::UnconnectedPayload);
        return Err(Denial::long_head());
    }
    let address = peer.address().map(|address| address.ip());
    let ticket = core.gate.pass(address, tokio::time::Instant::now().into_std()).map_err(|busy| {
        core.metrics.limits.up(busy.limit);
        Denial::busy(busy)
    })?;
    if let Some(allow) = &core.config.hooks.allow_request {
        decided(core, call_slow("allow_request", || allow(peer.clone()))).await?;
    }
    let sid = generate_id(core, &peer)?;
    let Opening { carrier, revision, takes_binary } = opening;
    let opening = link::Opening { sid, revision, takes_binary, handshake: peer.handshake(), ticket, carrier };
    Ok(Arc::new(Link::new(opening, Arc::clone(&core.config), Arc::clone(&core.metrics))))
}

/// What the application says of a client, if it says so in the time that clients have to join a namespace.
async fn decided(
    core: &Core,
    verdict: impl Future<Output = Result<Result<(), Refusal>, Panicked>>,
) -> Result<(), Denial> {
    match tokio::time::timeout(core.config.protocol.connect_timeout, verdict).await {
        Ok(verdict) => verdict?.map_err(|refusal| Denial::forbidden(&refusal)),
        Err(_) => {
            core.metrics.limits.up(Limit::DecisionTime);
            Err(Denial::undecided())
        }
    }
}

/// Counts a refusal, and tells the application.
pub(crate) fn note_denial(core: &Core, parts: &request::Parts, denial: &Denial) {
    core.metrics.requests_refused.up();
    core.metrics.refusals.up(denial.code());
    tracing::debug!(?denial, "a request was refused");
    core.config.hooks.see_error(|| denial.report(request_peer(parts)));
}

fn generate_id(core: &Core, peer: &Peer) -> Result<Sid, Denial> {
    let Some(generate) = &core.config.hooks.generate_id else { return Ok(Sid::new(random_id())) };
    let id = call("generate_id", || generate(peer))?;
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(safe) {
        tracing::warn!("generate_id made an id that is empty, too long, or not safe in a URL");
        return Err(Denial::bad_request(ErrorContext::IdGeneration));
    }
    Ok(Sid::new(id))
}
