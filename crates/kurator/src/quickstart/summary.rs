//! The closing words: what there is now, and what to try next.

use std::path::{Path, PathBuf};

use super::render::Part;
use super::world::World;
use crate::verbs::get::Overview;

pub(super) fn summary(world: &World, overview: Overview, once: bool) -> Vec<Part> {
    let Overview { full, brief } = overview;
    let mut parts = vec![Part::Title("What there is now".to_owned()), Part::Table { full, brief }];
    if once {
        parts.push(Part::Title("All of it ends here".to_owned()));
        parts.push(Part::Text("Without --once it stays, for you to look around.".to_owned()));
        return parts;
    }
    let members: Vec<_> = world.members.iter().map(|member| member.file.as_path()).collect();
    let typed = std::env::args().next().unwrap_or_default();
    parts.extend(try_next(&own_name(&typed, std::env::current_exe().ok()), &world.hub.file, &members));
    parts
}

/// How this program is called from any folder: as it was typed if the shell found it by its name, else where it is.
fn own_name(typed: &str, file: Option<PathBuf>) -> String {
    match file {
        Some(file) if typed.contains('/') => quoted(&file),
        _ if typed.is_empty() => "kurator".to_owned(),
        _ => quoted(Path::new(typed)),
    }
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn try_next(kurator: &str, hub: &Path, members: &[&Path]) -> Vec<Part> {
    let commands = |all: &[String]| all.iter().cloned().map(Part::Command).collect::<Vec<_>>();
    let create =
        format!("{kurator} backup create more --fleet quickstart --include-namespaces kurator-backup");
    let mut parts = vec![Part::Title("Try next, in another terminal".to_owned())];
    parts.extend(commands(&[
        format!("export KUBECONFIG={}", quoted(hub)),
        format!("{kurator} describe backup specific-ns"),
        format!("{kurator} backup create mine --fleet quickstart --include-namespaces kurator-backup --wait"),
        format!("{kurator} get --watch"),
    ]));
    parts.push(Part::Text("and with kubectl:".to_owned()));
    parts.extend(commands(&[
        "kubectl get fleets,backups,restores,migrates".to_owned(),
        "kubectl describe backups schedule".to_owned(),
        "kubectl explain backups.spec.policy".to_owned(),
        format!("{create} --dry-run=client -o yaml | kubectl apply -f -"),
        "kubectl wait --for=jsonpath='{.status.phase}'=Completed backups/more".to_owned(),
        r#"kubectl patch backups schedule --type=merge -p '{"spec":{"paused":true}}'"#.to_owned(),
        "kubectl delete restores schedule".to_owned(),
    ]));
    if let Some(member) = members.first() {
        let member = quoted(member);
        parts.push(Part::Text("and in a member:".to_owned()));
        parts.extend(commands(&[
            format!("kubectl --kubeconfig {member} get deployments,services,configmaps -n kurator-backup"),
            format!("kubectl --kubeconfig {member} get backups.velero.io,restores.velero.io -n velero"),
        ]));
    }
    parts.push(Part::Title("Ctrl-C ends all of it".to_owned()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_named_as_another_folder_and_a_shell_take_it() {
        let file = || Some(PathBuf::from("/opt/my tools/kurator"));
        assert_eq!(own_name("kurator", file()), "kurator");
        assert_eq!(own_name("target/release/kurator", file()), "'/opt/my tools/kurator'");
        assert_eq!(own_name("./kurator", Some("/opt/kurator".into())), "/opt/kurator");
        assert_eq!(own_name("", None), "kurator");
    }

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/tmp/kurator-x1/hub", "/tmp/kurator-x1/hub"),
            ("/tmp/a b/hub", "'/tmp/a b/hub'"),
            ("/tmp/it's/$x", r"'/tmp/it'\''s/$x'"),
        ] {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }

    #[test]
    fn every_line_names_its_files_as_a_shell_takes_them() {
        let parts = try_next("kurator", Path::new("/t m/hub"), &[Path::new("/t m/member")]);
        let commands = parts.iter().filter_map(|part| match part {
            Part::Command(command) => Some(command.as_str()),
            _ => None,
        });
        let with_files: Vec<_> = commands.filter(|command| command.contains("/t m/")).collect();
        assert_eq!(with_files.len(), 3, "{with_files:?}");
        assert!(with_files.iter().all(|command| command.contains("'/t m/")), "{with_files:?}");
    }
}
