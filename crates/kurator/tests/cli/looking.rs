//! What is shown of what is there, and said of what is not.

use kurator_api::backup::Backup;
use serde_json::json;

use crate::Outcome;
use crate::hub::{Hub, Said};
use crate::waiting::Running;

fn backup(hub: &Hub, namespace: &str, name: &str) -> Outcome {
    let metadata = json!({"name": name, "namespace": namespace});
    hub.create::<Backup>(json!({"metadata": metadata, "spec": {"destination": {"fleet": "f"}}}))
}

#[test]
fn what_is_there_is_shown_also_when_something_else_is_missing() -> Outcome {
    let hub = Hub::start()?;
    backup(&hub, "default", "there")?;
    let said = hub.said("get backup there ther -o name")?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(said.out, "backup.backup.kurator.dev/there\n");
    let expected = "error: no backup `ther` in namespace default\n\nhint: did you mean `there`? `kurator get backups --namespace \
                    default` shows those that there are\n";
    assert_eq!(said.err, expected);
    Ok(())
}

#[test]
fn all_that_is_missing_is_named() -> Outcome {
    let hub = Hub::start()?;
    let said = hub.said("get backup/a restore/b")?;
    assert!(
        said.err.starts_with("error: no backup `a`, no restore `b` in namespace default\n"),
        "{}",
        said.err
    );
    Ok(())
}

#[test]
fn an_empty_namespace_is_told_with_others_that_are_not() -> Outcome {
    let hub = Hub::start()?;
    backup(&hub, "default", "b")?;
    let said = hub.said("get backups -n other")?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let expected =
        "no backups in namespace other\nhint: --namespace names another; there are some in default\n";
    assert_eq!(said.err, expected);
    assert_eq!(hub.said("get restores -n other")?.err, "no restores in namespace other\n");
    Ok(())
}

#[test]
fn a_selector_that_is_none_is_told_with_its_place() -> Outcome {
    let hub = Hub::start()?;
    let said = Said::of(&hub.kurator("get -l").arg("app=shop,tier=a b").output()?);
    assert_eq!(said.code, Some(2), "{said:?}");
    let expected = "error: invalid value 'app=shop,tier=a b' for '--selector <SELECTOR>': term 2, `tier=a b`: `a b` is no value";
    assert!(said.err.starts_with(expected), "{}", said.err);
    Ok(())
}

#[test]
fn the_kubeconfig_may_be_a_list_of_which_some_are_missing() -> Outcome {
    let hub = Hub::start()?;
    let list = format!("/no/such/file:{}", hub.kubeconfig().display());
    let said = Said::of(&hub.kurator("get").env("KUBECONFIG", list).output()?);
    assert_eq!(said.done()?, "");
    Ok(())
}

#[test]
fn a_context_that_is_not_there_is_told_with_those_that_are() -> Outcome {
    let hub = Hub::start()?;
    let said = hub.said("get --context nope")?;
    assert_eq!(said.code, Some(1), "{said:?}");
    let expected =
        "error: cannot read the kubeconfig\n  caused by: it has no context `nope`\n\nhint: it has hub\n";
    assert_eq!(said.err, expected);
    Ok(())
}

#[test]
fn a_quickstart_that_has_ended_is_told_from_a_hub_that_is_away() -> Outcome {
    let mut hub = Hub::start()?;
    hub.close_the_way()?;
    let said = hub.said("get")?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("has ended; `kurator quickstart` begins another"), "{}", said.err);
    Ok(())
}

#[test]
fn whoever_watches_is_told_when_the_hub_goes_and_when_it_is_back() -> Outcome {
    let mut hub = Hub::start()?;
    backup(&hub, "default", "first")?;
    let mut watch = Running::start(&mut hub.kurator("get --watch"))?;
    watch.until_out("backup/first")?;
    hub.close_the_way()?;
    watch.until_err("does not answer")?;
    hub.open_the_way()?;
    watch.until_err("the hub answers again")?;
    backup(&hub, "default", "second")?;
    watch.until_out("backup/second")?;
    Ok(())
}
