//! A client and a server over a virtual network: whatever it does, messages arrive once and in order, or the session
//! ends, once, in time. (The order is checked at every message, in `net`.)

mod net;

use std::sync::LazyLock;

use net::{MESSAGES, Plan, Random, World, config};
use sockeye_engine::time::Duration;
use sockeye_engine::{CloseReason, Event};

/// How many seeds: `SOCKEYE_SEEDS`, if it is set.
static SEEDS: LazyLock<u64> = LazyLock::new(|| {
    std::env::var("SOCKEYE_SEEDS").map_or(1000, |seeds| seeds.parse().expect("SOCKEYE_SEEDS is a number"))
});
/// When all messages have been sent, and several heartbeats exchanged.
const END: u64 = 12_000;

/// A plan whose times depend on the seed.
fn plan(seed: u64) -> (Plan, Random) {
    let mut random = Random(seed.wrapping_mul(0xd134_2543_de82_ef95) | 1);
    let plan = Plan {
        revision_3: seed % 2 == 1,
        upgrade_after: Some(random.below(1500)),
        latency: (random.below(80), random.below(80)),
        batch: 1 + random.below(5),
        ..Plan::default()
    };
    (plan, random)
}

fn run(plan: Plan, seed: u64, end: u64) -> World {
    // Shown if the test fails.
    println!("seed {seed}: {plan:?}");
    let mut world = World::new(plan, seed);
    world.run_until(end);
    world
}

/// Everything arrived, nothing was refused, nobody was closed.
fn assert_complete(world: &World) {
    for side in [&world.client, &world.server] {
        assert_eq!((side.sent, side.received), (MESSAGES, MESSAGES));
        assert_eq!((side.closes(), &side.errors[..]), (0, &[][..]));
        let session = side.session.as_ref().expect("the session lives");
        assert_eq!(session.queued_bytes(), 0);
    }
}

/// Both ends closed once, and left nothing behind.
fn assert_ended(world: &World) {
    for side in [&world.client, &world.server] {
        assert_eq!((side.closes(), side.session.is_none()), (1, true), "{:?}", side.events);
    }
}

fn count(events: &[Event], wanted: &Event) -> usize {
    events.iter().filter(|event| *event == wanted).count()
}

#[test]
fn polling_alone() {
    for seed in 0..*SEEDS / 10 {
        let (mut plan, _) = plan(seed);
        plan.upgrade_after = None;
        assert_complete(&run(plan, seed, END));
    }
}

#[test]
fn stream_alone() {
    for seed in 0..*SEEDS / 10 {
        let (mut plan, _) = plan(seed);
        (plan.upgrade_after, plan.stream_first) = (None, true);
        assert_complete(&run(plan, seed, END));
    }
}

#[test]
fn upgrade_at_any_moment() {
    for seed in 0..*SEEDS {
        let world = run(plan(seed).0, seed, END);
        assert_complete(&world);
        for side in [&world.client, &world.server] {
            assert_eq!(count(&side.events, &Event::Upgraded), 1);
            assert_eq!(count(&side.events, &Event::UpgradeFailed), 0);
        }
    }
}

#[test]
fn upgrade_whose_probes_get_lost() {
    for seed in 0..*SEEDS {
        let (mut plan, mut random) = plan(seed);
        plan.lost_probes = u32::try_from(random.below(3)).unwrap();
        plan.lost_answers = 1 + u32::try_from(random.below(2)).unwrap();
        let lost = usize::try_from(plan.lost_probes + plan.lost_answers).unwrap();
        let world = run(plan, seed, END);
        for side in [&world.client, &world.server] {
            assert_eq!((side.sent, side.received, side.closes()), (MESSAGES, MESSAGES, 0));
            assert_eq!(count(&side.events, &Event::Upgraded), 1, "the last try succeeds");
        }
        assert_eq!(count(&world.client.events, &Event::UpgradeFailed), lost);
    }
}

#[test]
fn stream_cut_at_any_moment() {
    let mut survived = 0;
    for seed in 0..*SEEDS {
        let (mut plan, mut random) = plan(seed);
        plan.upgrade_after = Some(300);
        plan.cut_at = Some(300 + random.below(600));
        let world = run(plan, seed, END);
        let switched = count(&world.client.events, &Event::Upgraded) == 1;
        if world.client.closes() == 0 {
            assert_eq!((world.client.received, world.server.received), (MESSAGES, MESSAGES));
            assert!(switched, "a second try succeeds");
            survived += 1;
        } else {
            assert!(switched, "a cut stream is fatal only after the switch");
            assert_ended(&world);
        }
    }
    assert!(survived > *SEEDS / 10 && survived < *SEEDS, "both outcomes are wanted: {survived}");
}

#[test]
fn poll_failing_at_any_moment() {
    for seed in 0..*SEEDS / 4 {
        let (mut plan, mut random) = plan(seed);
        (plan.upgrade_after, plan.fail_poll_at) = (None, Some(500 + random.below(1000)));
        let world = run(plan.clone(), seed, END);
        if world.client.closes() == 0 {
            assert_complete(&world);
        } else {
            assert_ended(&world);
        }
    }
}

#[test]
fn silence_at_any_moment() {
    let times = config();
    let patience = times.ping_interval + times.ping_timeout + times.upgrade_timeout;
    for seed in 0..*SEEDS {
        let (mut plan, mut random) = plan(seed);
        let silence = random.below(1500);
        (plan.silent_from, plan.stream_first) = (Some(silence), seed % 5 == 0);
        plan.upgrade_after = Some(random.below(500)).filter(|_| !plan.stream_first);
        let deadline = Duration::from_millis(silence) + patience;
        let mut world = run(plan, seed, END);
        for side in [&mut world.client, &mut world.server] {
            // The server may never have heard of the client.
            if side.events.is_empty() && side.session.is_none() {
                continue;
            }
            assert_eq!(side.closes(), 1);
            assert!(side.closed_at.is_some_and(|at| at <= deadline), "{:?} > {deadline:?}", side.closed_at);
            assert!(side.session.is_none());
        }
    }
}

#[test]
fn client_closing_at_any_moment() {
    for seed in 0..*SEEDS {
        let (mut plan, mut random) = plan(seed);
        plan.upgrade_after = Some(random.below(800));
        plan.client_closes_at = Some(200 + random.below(1200));
        let world = run(plan, seed, END);
        assert_ended(&world);
        assert_eq!(world.server.received, world.client.sent, "what was sent before the close arrives");
        assert_eq!(count(&world.client.events, &Event::Closed(CloseReason::Forced)), 1);
        assert_eq!(count(&world.server.events, &Event::Closed(CloseReason::TransportClose)), 1);
    }
}

#[test]
fn server_closing_at_any_moment() {
    let mut refused = 0;
    for seed in 0..*SEEDS {
        let (mut plan, mut random) = plan(seed);
        plan.upgrade_after = Some(random.below(800));
        plan.server_closes_at = Some(200 + random.below(1200));
        let world = run(plan, seed, END);
        assert_ended(&world);
        assert_eq!(count(&world.server.events, &Event::Closed(CloseReason::Forced)), 1);
        if count(&world.client.events, &Event::Closed(CloseReason::TransportClose)) == 1 {
            assert_eq!(world.client.received, world.server.sent, "what was sent before the close arrives");
        } else {
            // A POST which found no session any more was answered sooner than the GET with the last messages.
            assert_eq!(count(&world.client.events, &Event::Closed(CloseReason::TransportError)), 1);
            refused += 1;
        }
    }
    assert!(refused < *SEEDS / 20, "{refused}");
}
