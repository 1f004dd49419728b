//! What is told before something is created, and what is created then.

use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use serde_json::json;

use crate::Outcome;
use crate::hub::{Hub, Said};

#[test]
fn what_cannot_be_meant_is_refused_before_the_hub_is_asked() -> Outcome {
    let hub = Hub::start()?;
    let dry = "--dry-run=client -o yaml";
    let refused = [
        (
            "backup create b --fleet f --schedule nope",
            "invalid value 'nope' for '--schedule <CRON>': 1 instead of 5 fields",
        ),
        (
            "backup create b --fleet f --ttl 3d",
            "invalid value '3d' for '--ttl <DURATION>': `3d` is not a duration",
        ),
        (
            "backup create b --fleet f --ttl -1h",
            "invalid value '-1h' for '--ttl <DURATION>': `-1h` is not a duration: it is negative",
        ),
        (
            "backup create b --fleet f --ttl 0s",
            "invalid value '0s' for '--ttl <DURATION>': nothing is kept for no time, and to Velero it means 30 days",
        ),
        ("backup create B_1 --fleet f", "invalid value 'B_1' for '<NAME>': it is no name of an object; use "),
        ("backup create b --fleet=", "invalid value '' for '--fleet <NAME>': it is empty; write a name"),
        (
            "backup create b --fleet f -l a=b,=c",
            "invalid value 'a=b,=c' for '--selector <SELECTOR>': term 2, `=c`: ",
        ),
        (
            "backup create b --fleet f -n Shop",
            "invalid value 'Shop' for '--namespace <NAMESPACE>': it is no name of a",
        ),
        (
            "backup create b --fleet f --include-namespaces A",
            "--include-namespaces: `A` is no name of a namespace; use ",
        ),
        (
            "backup create b --fleet f --labels a=b_",
            "invalid value 'a=b_' for '--labels <KEY=VALUE>': `b_` is no value",
        ),
        (
            "backup create b --fleet f --include-namespaces shop,",
            "invalid value '' for '--include-namespaces <NAMESPACE>': one of them is empty; write ",
        ),
        (
            "restore create --from-backup b --preserve-nodeports false",
            "`false` would be the name of the Restore; write a flag's value behind `=`, such as --preserve-nodeports=false",
        ),
        (
            "restore create --from-backup b --namespace-mappings a:b,a:c",
            "--namespace-mappings: `a` is to become `b` and `c`; choose one",
        ),
        (
            "restore create --from-backup b --from-run r",
            "--from-run needs --fleet, in whose clusters the run lies",
        ),
        (
            "restore create --from-backup b --clusters c",
            "--clusters and --cluster-selector need --fleet, whose ",
        ),
        (
            "migrate create m --fleet f --from a --to b,a",
            "--to: `a` is the source too; take it off the targets",
        ),
    ];
    for (words, why) in refused {
        let said = hub.said(&format!("{words} {dry}"))?;
        assert_eq!(said.code, Some(2), "{words}: {said:?}");
        assert!(said.err.starts_with(&format!("error: {why}")), "{words}: {}", said.err);
    }
    Ok(())
}

#[test]
fn a_blank_in_a_name_is_told_with_its_flag() -> Outcome {
    let hub = Hub::start()?;
    for flag in ["--include-resources", "--exclude-namespaces", "--status-include-resources"] {
        let mut command = hub.kurator("migrate create m --fleet f --from a --to b --dry-run=client");
        let said = Said::of(&command.args([flag, "pods secrets"]).output()?);
        assert_eq!(said.code, Some(2), "{said:?}");
        let expected = format!("error: invalid value 'pods secrets' for '{flag} <");
        assert!(
            said.err.starts_with(&expected) && said.err.contains("no name has a blank in it; write "),
            "{}",
            said.err
        );
    }
    Ok(())
}

#[test]
fn a_schedule_that_the_fleets_engine_does_not_follow_is_refused() -> Outcome {
    let hub = Hub::start()?;
    let store =
        json!({"location": {"bucket": "b", "provider": "aws", "endpoint": "http://e"}, "secretName": "s"});
    let plugin = json!({"backup": {"engine": "Builtin", "storage": store}});
    hub.create::<Fleet>(json!({"metadata": {"name": "f"}, "spec": {"clusters": [], "plugin": plugin}}))?;
    let said = Said::of(&hub.kurator("backup create b --fleet f --schedule").arg("*/60 * * * *").output()?);
    assert_eq!(said.code, Some(1), "{said:?}");
    let expected = "error: --schedule: fleet `f` reads it as Velero 1.18.3 and newer: `*/60` in the minute field has a step as long";
    assert!(said.err.starts_with(expected), "{}", said.err);
    assert_eq!(hub.said("get backups -o name")?.done()?, "");
    Ok(())
}

#[test]
fn a_schedule_is_not_waited_for() -> Outcome {
    let hub = Hub::start()?;
    let mut command = hub.kurator("backup create b --fleet f --wait --schedule");
    let said = Said::of(&command.arg("0 2 * * *").output()?);
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(
        said.err.starts_with("error: --wait waits for the end of a run, and a --schedule has none"),
        "{}",
        said.err
    );
    Ok(())
}

#[test]
fn what_is_named_and_not_there_is_refused_with_what_may_have_been_meant() -> Outcome {
    let hub = Hub::start()?;
    hub.fleet("quickstart", &["kurator-member1", "kurator-member2"])?;
    hub.fleet("other", &[])?;
    hub.create::<Backup>(
        json!({"metadata": {"name": "specific-ns"}, "spec": {"destination": {"fleet": "quickstart"}}}),
    )?;
    let refused = [
        (
            "backup create b --fleet quickstar",
            "no fleet `quickstar` in namespace default\n\nhint: did you mean `quickstart`? `kurator get fleets --namespace \
             default` shows those that there are",
        ),
        (
            "restore create --from-backup typo",
            "no backup `typo` in namespace default\n\nhint: `kurator get backups --namespace default` shows those that there are",
        ),
        (
            "restore create --from-backup specific",
            "no backup `specific` in namespace default\n\nhint: did you mean `specific-ns`?",
        ),
        (
            "restore create --from-backup specific-ns --fleet other",
            "--fleet: `other` is not the fleet of the backup, which is `quickstart`\n\nhint: name that one, or leave --fleet out",
        ),
        (
            "backup create b --fleet quickstart --clusters kurator-membr1",
            "--clusters: AttachedCluster `kurator-membr1` is not in fleet `quickstart`\n\nhint: did you mean `kurator-member1` or ",
        ),
        (
            "migrate create m --fleet quickstart --from kurator-member1 --to x",
            "--to: AttachedCluster `x` is not in fleet `quickstart`\n\nhint: `kurator describe fleet quickstart` shows its clusters",
        ),
    ];
    for (words, why) in refused {
        for dry in ["", " --dry-run=server"] {
            let said = hub.said(&format!("{words}{dry}"))?;
            assert_eq!(said.code, Some(1), "{words}: {said:?}");
            assert!(said.err.starts_with(&format!("error: {why}")), "{words}: {}", said.err);
        }
    }
    assert_eq!(hub.said("get backups -o name")?.done()?, "backup.backup.kurator.dev/specific-ns\n");
    Ok(())
}

#[test]
fn a_run_is_restored_also_when_its_backup_has_gone() -> Outcome {
    let hub = Hub::start()?;
    hub.fleet("f", &["a"])?;
    hub.said("restore create r --from-backup gone --from-run a-backup-default-gone --fleet f")?.done()?;
    Ok(())
}

#[test]
fn two_restores_without_a_name_of_one_second_are_two() -> Outcome {
    let hub = Hub::start()?;
    hub.create::<Backup>(json!({"metadata": {"name": "b"}, "spec": {"destination": {"fleet": "f"}}}))?;
    let mut names = std::collections::BTreeSet::new();
    for dry in ["", "", " --dry-run=server", " --dry-run=client"] {
        names.insert(hub.said(&format!("restore create --from-backup b -o name{dry}"))?.done()?);
    }
    assert_eq!(names.len(), 4, "{names:?}");
    Ok(())
}

#[test]
fn whoever_asks_the_builtin_engine_to_delete_is_warned() -> Outcome {
    let hub = Hub::start()?;
    let store =
        json!({"location": {"bucket": "b", "provider": "aws", "endpoint": "http://e"}, "secretName": "s"});
    let plugin = json!({"backup": {"engine": "Builtin", "storage": store}});
    hub.create::<Fleet>(json!({"metadata": {"name": "f"}, "spec": {"clusters": [], "plugin": plugin}}))?;
    let said = hub.said("backup create b --fleet f --ttl 1h --deletion-policy delete")?;
    assert!(
        said.err.contains("warning: --ttl frees no room: what has expired is not restored any more, but stays; fleet `f` has"),
        "{}",
        said.err
    );
    assert!(said.err.contains("warning: --deletion-policy delete holds the backup up"), "{}", said.err);
    assert_eq!(said.done()?, "backup.backup.kurator.dev/b created\n");
    assert_eq!(hub.said("backup create c --fleet f")?.err, "");
    Ok(())
}
