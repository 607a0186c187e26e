//! What one batch does: who commits, who is refused and how, and what is left in the tables.

use std::{sync::Arc, time::Duration};

use sea_orm::ConnectionTrait;
use tokio::{sync::oneshot, time::Instant};

use super::{Act, LANE, Try, World, in_world, together};
use crate::{
    actors::{
        Lanes, batch,
        command::{Job, TypedTask},
    },
    config::settings,
    domain::Refusal,
};

async fn as_one_batch(world: &World, lanes: &Lanes, acts: Vec<Act>) -> Vec<Result<String, Refusal>> {
    let tries = acts.into_iter().enumerate().map(|(at, act)| Try::new(at.to_string(), act));
    together(world, lanes, tries.collect()).await
}

fn unavailable(answer: &Result<String, Refusal>, text: &str) -> bool {
    matches!(answer, Err(Refusal::Unavailable { what, .. }) if what.contains(text))
}

fn five_good_four_bad() -> Vec<Act> {
    use Act::{BadStatement, Hang, Keep, Panic, Refuse};
    vec![Keep, Refuse, Keep, Panic, Keep, Hang, Keep, BadStatement, Keep]
}

fn assert_five_good_four_bad(answers: &[Result<String, Refusal>]) {
    for good in [0, 2, 4, 6, 8] {
        assert_eq!(answers[good], Ok(good.to_string()));
    }
    assert_eq!(answers[1], Err(Refusal::AlreadyMember));
    assert_eq!(answers[3], Err(Refusal::Internal), "the panic");
    assert!(unavailable(&answers[5], "cannot be used"), "the hang: {:?}", answers[5]);
    assert_eq!(answers[7], Err(Refusal::Internal), "the bad statement");
}

#[test]
fn bad_commands_of_a_batch_are_answered_precisely_and_the_good_ones_commit() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        let answers = as_one_batch(&world, &lanes, five_good_four_bad()).await;
        assert_five_good_four_bad(&answers);
        assert_eq!(world.kept(world.tenants[0]).await, ["first", "0", "2", "4", "6", "8"]);
    });
}

#[test]
fn without_actors_the_same_commands_end_the_same() {
    in_world(async |world| {
        let lanes = world.lanes(settings::Lane { actors: false, ..LANE });
        let mut answers = Vec::new();
        for (at, act) in five_good_four_bad().into_iter().enumerate() {
            answers.push(lanes.run(world.tenants[0], Try::new(at.to_string(), act)).await);
        }
        assert_five_good_four_bad(&answers);
        assert_eq!(world.kept(world.tenants[0]).await, ["0", "2", "4", "6", "8"]);
    });
}

#[test]
fn a_statement_that_runs_too_long_is_ended_and_harms_only_its_command() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        let begun = Instant::now();
        let answers = as_one_batch(&world, &lanes, vec![Act::Keep, Act::SlowStatement, Act::Keep]).await;
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert_eq!(answers[0], Ok("0".into()));
        assert!(unavailable(&answers[1], "cannot be used"), "{:?}", answers[1]);
        assert_eq!(answers[2], Ok("2".into()));
        assert_eq!(world.kept(world.tenants[0]).await, ["first", "0", "2"]);
    });
}

#[test]
fn a_command_that_refuses_after_a_write_is_rolled_back_alone_and_in_a_batch() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        let alone = lanes.run(world.tenants[0], Try::new("alone", Act::RefuseAfterWrite)).await;
        assert_eq!(alone, Err(Refusal::Internal));
        let answers = as_one_batch(&world, &lanes, vec![Act::Keep, Act::RefuseAfterWrite, Act::Keep]).await;
        assert_eq!(answers, [Ok("0".into()), Err(Refusal::Internal), Ok("2".into())]);
        assert_eq!(world.kept(world.tenants[0]).await, ["first", "0", "2"]);
    });
}

#[test]
fn what_no_longer_holds_is_decided_again_and_not_for_ever() {
    in_world(async |world| {
        let lanes = world.lanes(LANE);
        assert_eq!(lanes.run(world.tenants[0], Try::new("alone", Act::Again(1))).await, Ok("alone".into()));
        let answers = as_one_batch(&world, &lanes, vec![Act::Keep, Act::Again(2), Act::Again(99)]).await;
        assert_eq!(answers[..2], [Ok("0".into()), Ok("1".into())]);
        assert!(unavailable(&answers[2], "could not be decided"), "{:?}", answers[2]);
        assert_eq!(world.kept(world.tenants[0]).await, ["alone", "first", "0", "1"]);
    });
}

#[test]
fn a_commit_that_fails_tells_everybody_that_the_outcome_is_unknown() {
    in_world(async |world| {
        let tx = world.store.system_write().await.unwrap();
        for table in [
            "CREATE TABLE test_parents (name TEXT PRIMARY KEY)",
            "CREATE TABLE test_children (parent TEXT REFERENCES test_parents (name) DEFERRABLE INITIALLY DEFERRED)",
        ] {
            tx.conn().execute_unprepared(table).await.unwrap();
        }
        tx.commit().await.unwrap();
        let lanes = world.lanes(LANE);
        let answers = as_one_batch(&world, &lanes, vec![Act::Keep, Act::BreakCommit, Act::Keep]).await;
        for answer in &answers {
            assert!(unavailable(answer, "may or may not have happened"), "{answer:?}");
        }
        let after = lanes.run(world.tenants[0], Try::new("after", Act::Keep)).await;
        assert_eq!(after, Ok("after".into()), "the connection is good for the next");
        assert_eq!(world.kept(world.tenants[0]).await, ["first", "after"]);
    });
}

#[test]
fn a_command_that_is_too_late_is_not_begun() {
    in_world(async |world| {
        let tenant = world.tenants[0];
        let job = |name: &str, begin_by: Instant| {
            let (task, answer) = TypedTask::new(Try::new(name, Act::Keep));
            (Job { tenant, begin_by, task: Box::new(task), _permits: vec![] }, answer)
        };
        let (late, late_answer) = job("late", Instant::now());
        let (timely, timely_answer) = job("timely", Instant::now() + Duration::from_secs(5));
        let (done, committed) = oneshot::channel();
        let store = world.store.clone();
        world.store.runtime().spawn(async move {
            batch::commit(&store, vec![late, timely], None).await;
            let _ = done.send(());
        });
        committed.await.unwrap();
        assert!(unavailable(&late_answer.await.unwrap(), "Too much is waiting"));
        assert_eq!(timely_answer.await.unwrap(), Ok("timely".into()));
        assert_eq!(world.kept(tenant).await, ["timely"]);
    });
}

#[test]
fn what_follows_the_commit_comes_before_the_answer_and_only_after_a_commit() {
    struct Told(Arc<std::sync::Mutex<Vec<String>>>, Try);
    impl crate::actors::Command for Told {
        type Output = String;
        fn told_to(&self) -> Option<&crate::identity::Call> {
            None
        }
        async fn decide(&self, work: &mut crate::actors::Work<'_>) -> crate::actors::Decision<String> {
            let (told, name) = (self.0.clone(), self.1.name.clone());
            work.after_commit(move || told.lock().unwrap().push(name));
            self.1.decide(work).await
        }
    }
    in_world(async |world| {
        let (lanes, told) = (world.lanes(LANE), Arc::new(std::sync::Mutex::new(Vec::new())));
        for (name, act) in [("kept", Act::Keep), ("panics", Act::Panic), ("again", Act::Again(1))] {
            let _ = lanes.run(world.tenants[0], Told(told.clone(), Try::new(name, act))).await;
        }
        assert_eq!(*told.lock().unwrap(), ["kept", "again"], "each once, though one was run twice");
    });
}
