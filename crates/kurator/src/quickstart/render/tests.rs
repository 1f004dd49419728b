use super::*;
use crate::terminal::rows::{Row, rows};

const PLAIN: Style = Style { colour: false, bars: false, width: 80 };
const COLOURED: Style = Style { colour: true, bars: true, width: 80 };
const NARROW: Style = Style { colour: true, bars: true, width: 40 };

fn facts() -> Facts {
    Facts {
        members: 2,
        server: "https://127.0.0.1:4000".to_owned(),
        store: "http://127.0.0.1:5000".to_owned(),
        took: Duration::from_millis(412),
    }
}

fn clusters() -> Vec<Row> {
    let row = |name: &str, phase: &str, objects, bytes| Row {
        name: name.to_owned(),
        phase: phase.to_owned(),
        objects,
        bytes,
    };
    vec![
        row("kurator-member1", "Completed", Some((7, 7)), Some(3_174)),
        row("kurator-member2", "InProgress", Some((3, 7)), None),
        row("edge", "Pending", None, None),
    ]
}

/// A walk of one step, as it is written.
fn walk(style: Style) -> String {
    let said = ["2/2 clusters completed".to_owned(), String::new()];
    let mut lines = up(style, &facts());
    lines.extend(begin(
        style,
        3,
        9,
        "Back up, now",
        "A Backup of one namespace, in every member of the fleet.",
    ));
    lines.extend(yaml(style, "kind: Backup\nmetadata:\n  name: specific-ns\n"));
    lines.push(applied(style, "backup/specific-ns"));
    lines.extend(rows(style, &clusters()));
    lines.extend(end(style, Ok(&said), Duration::from_millis(1_234)));
    lines.extend(summary(
        style,
        &[
            Part::Title("Try next".to_owned()),
            Part::Table {
                full: "BACKUP        FLEET        PHASE       CLUSTERS".to_owned(),
                brief: "BACKUP        PHASE       CLUSTERS".to_owned(),
            },
            Part::Command("kubectl --kubeconfig /tmp/kurator-x/hub get fleets".to_owned()),
        ],
    ));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn elsewhere_than_on_a_terminal_the_walk_is_plain_lines() {
    let expected = "\
Up after 0.4 s
  A hub and 2 members in this process (https://127.0.0.1:4000), in memory; an
  object store beside them (http://127.0.0.1:5000). The controllers and the
  engine are those of `kurator serve`.

3/9  Back up, now
  A Backup of one namespace, in every member of the fleet.
    kind: Backup
    metadata:
      name: specific-ns
  applied backup/specific-ns
  kurator-member1  Completed  7/7 objects  3.1 KiB
  kurator-member2  InProgress  3/7 objects
  edge             Pending
  2/2 clusters completed
  done in 1.2 s

Try next
  BACKUP        FLEET        PHASE       CLUSTERS
  kubectl --kubeconfig /tmp/kurator-x/hub get fleets
";
    assert_eq!(walk(PLAIN), expected);
}

#[test]
fn on_a_terminal_the_walk_has_colours_and_bars() {
    let expected = "\
<1>Up after 0.4 s<0>
  <2>A hub and 2 members in this process (https://127.0.0.1:4000), in memory; an<0>
  <2>object store beside them (http://127.0.0.1:5000). The controllers and the<0>
  <2>engine are those of `kurator serve`.<0>

<1>3/9  Back up, now<0>
  <2>A Backup of one namespace, in every member of the fleet.<0>
    <36>kind: Backup<0>
    <36>metadata:<0>
    <36>  name: specific-ns<0>
  applied backup/specific-ns
  kurator-member1  <36>████████████████<0> Completed  7/7 objects  3.1 KiB
  kurator-member2  <36>██████░░░░░░░░░░<0> InProgress  3/7 objects
  edge             Pending
  2/2 clusters completed
  <32>done<0> <2>in 1.2 s<0>

<1>Try next<0>
  BACKUP        FLEET        PHASE       CLUSTERS
  <36>kubectl --kubeconfig /tmp/kurator-x/hub get fleets<0>
";
    assert_eq!(shown(&walk(COLOURED)), expected);
}

#[test]
fn a_narrow_terminal_gets_whole_words_and_no_line_that_breaks_but_commands() {
    let expected = "\
<1>Up after 0.4 s<0>
  <2>A hub and 2 members in this process<0>
  <2>(https://127.0.0.1:4000), in memory;<0>
  <2>an object store beside them<0>
  <2>(http://127.0.0.1:5000). The<0>
  <2>controllers and the engine are those<0>
  <2>of `kurator serve`.<0>

<1>3/9  Back up, now<0>
  <2>A Backup of one namespace, in every<0>
  <2>member of the fleet.<0>
    <36>kind: Backup<0>
    <36>metadata:<0>
    <36>  name: specific-ns<0>
  applied backup/specific-ns
  kurator-member1  Completed
  kurator-member2  InProgress
  edge             Pending
  2/2 clusters completed
  <32>done<0> <2>in 1.2 s<0>

<1>Try next<0>
  BACKUP        PHASE       CLUSTERS
  <36>kubectl --kubeconfig /tmp/kurator-x/hub get fleets<0>
";
    assert_eq!(shown(&walk(NARROW)), expected);
}

/// Escape sequences in a form that can be read.
fn shown(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| match part.split_once('m') {
        Some((code, rest)) => format!("{text}<{code}>{rest}"),
        None => text + part,
    })
}

#[test]
fn a_failed_step_says_so() {
    assert_eq!(end(PLAIN, Err(()), Duration::from_secs(3)), ["  failed after 3.0 s"]);
}

#[test]
fn where_there_is_little_room_names_are_told_apart_by_their_ends() {
    let lines = ["attachedcluster/kurator-member1", "attachedcluster/kurator-member2"]
        .map(|name| applied(NARROW, name));
    assert_eq!(
        lines,
        ["  applied attachedcl…ter/kurator-member1", "  applied attachedcl…ter/kurator-member2"]
    );
    assert_eq!(applied(NARROW, "fleet/quickstart"), "  applied fleet/quickstart");
}
