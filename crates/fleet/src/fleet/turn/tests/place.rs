//! Where a member stores: its prefix, whose that is, and what is there already.

use super::*;

#[test]
fn k07_a_prefix_of_another_cluster_is_mounted_read_only() {
    let mut alive = alive(Ok(secret_written()));
    alive.owner = Probe::Known(Owner::Foreign { cluster_uid: "other".into() });
    assert_eq!(written(&one(alive)), ["m1 location default ReadOnly"]);
}

#[test]
fn k07_while_the_owner_is_unknown_a_read_only_location_stays_so() {
    let read_only = || SeenVelero {
        locations: vec![location("default", "clusters/default/attachedcluster/m1", "ReadOnly")],
        ..all_written()
    };
    let asking = SeenAlive { owner: Probe::Running, ..alive(Ok(read_only())) };
    assert_eq!(written(&one(asking)), Vec::<String>::new());
    let retry_at = Instant::now() + Duration::from_secs(5);
    let failed =
        SeenAlive { owner: Probe::Failed { why: "down".into(), retry_at }, ..alive(Ok(read_only())) };
    assert_eq!(written(&one(failed)), Vec::<String>::new());
}

#[test]
fn a_changed_prefix_is_a_second_location_and_the_first_one_stays_read_only() {
    let moved = ValidPlugin { root: "new".into(), ..plugin() };
    let seen = member("m1", SeenContact::Alive(Box::new(alive(Ok(all_written())))));
    let plan = decide(Plugin::On(Box::new(moved)), vec![seen]);
    let written = written(&plan);
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(
        written[0].starts_with("m1 location default-") && written[0].ends_with(" ReadWrite"),
        "{written:?}"
    );
    assert_eq!(written[1], "m1 location default ReadOnly");
}

#[test]
fn a_place_in_use_keeps_its_layout_whatever_appears_at_the_root() {
    let mut seen = member("m1", SeenContact::Alive(Box::new(alive(Ok(all_written())))));
    seen.recorded = one(alive(Ok(all_written()))).rows.into_iter().next();
    let plan = plan(
        &fleet(&["m1"], serving()),
        Seen { hub: HUB.into(), root: root(true, false), members: vec![seen] },
    );
    assert_eq!(plan.rows[0].backup.as_ref().and_then(|backup| backup.layout), Some(Layout::PerCluster));
    assert!(plan.actions.is_empty());
}

#[test]
fn a_store_that_the_hub_cannot_reach_holds_nothing_up_and_is_told() {
    let retry_at = Instant::now() + Duration::from_secs(5);
    let failed = || Probe::Failed { why: "refused".to_owned(), retry_at };
    let mut alive = alive(Ok(secret_written()));
    alive.owner = Probe::Failed { why: "refused".into(), retry_at };
    let seen = member("m1", SeenContact::Alive(Box::new(alive)));
    let plan =
        plan(&fleet(&["m1"], serving()), Seen { hub: HUB.into(), root: failed(), members: vec![seen] });
    assert_eq!(written(&plan), ["m1 location default ReadWrite"]);
    assert_eq!(plan.notes[0].reason, Reason::OwnerUnverified);
}
