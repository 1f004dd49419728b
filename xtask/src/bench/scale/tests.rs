use std::path::Path;

use super::*;

fn measured(members: usize) -> Measured {
    Measured {
        members,
        attach_s: 1.0,
        attach_cpu_s: 1.0,
        fanout_s: 2.0,
        fanout_cpu_s: 1.0,
        hub_lag_ms: 50.0,
        hub_kib_per_member: 200.0,
        hub_private_kib_per_member: 190.0,
        hub_peak_mib: 300.0,
        idle_cpu_percent: 5.0,
        status_bytes: 1_048_576,
        backup_writes: 4,
        backup_written_bytes: 2_000_000,
        hub_writes: 10,
    }
}

#[test]
fn what_reaches_a_bar_holds_and_what_exceeds_it_is_named() {
    assert_eq!(broken(&[measured(100), measured(1000), measured(3000)]), [""; 0]);
    let larger = Measured { hub_kib_per_member: 200.5, ..measured(1000) };
    let sentence =
        "a bar does not hold: with 1000 members, memory of the hub per member is 200.5 KiB, above 200";
    assert_eq!(broken(&[measured(100), larger]), [sentence]);
}

#[test]
fn idle_cpu_time_is_promised_up_to_1000_members_and_nothing_below_100() {
    let busy = |members| broken(&[Measured { idle_cpu_percent: 5.1, ..measured(members) }]).len();
    assert_eq!([5, 100, 1000, 3000].map(busy), [0, 1, 1, 0]);
}

#[test]
fn a_small_fleet_is_measured_from_end_to_end() {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("kurator");
    assert!(program.exists(), "{} is not built; run with --workspace", program.display());
    let idle = Duration::from_millis(200);
    let pauses = Pauses { started: Duration::ZERO, settled: Duration::ZERO, idle };
    let measured = measure::measure(&program, 5, pauses, &[]).unwrap();
    assert!(
        measured.attach_s > 0.0 && measured.fanout_s > 0.0,
        "{:?}",
        (measured.attach_s, measured.fanout_s)
    );
    assert!(measured.status_bytes > 0 && measured.backup_written_bytes >= measured.status_bytes);
    assert!(measured.hub_writes >= measured.backup_writes as u64);
}
