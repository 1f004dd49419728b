//! The closing words: what there is now, and what to try next.

use std::path::Path;

use super::render::Part;
use super::world::World;

/// `overview` is what `kurator get` prints.
pub(super) fn summary(world: &World, overview: &str, once: bool) -> Vec<Part> {
    let kurator = std::env::args().next().unwrap_or_else(|| "kurator".to_owned());
    let mut parts = vec![Part::Title("What there is now".to_owned())];
    parts.extend(overview.lines().map(|line| Part::Line(line.to_owned())));
    if once {
        parts.push(Part::Title("All of it ends here".to_owned()));
        parts.push(Part::Text("Without --once it stays, for you to look around.".to_owned()));
        return parts;
    }
    let members: Vec<_> = world.members.iter().map(|member| member.file.as_path()).collect();
    parts.extend(try_next(&kurator, &world.hub.file, &members));
    parts
}

fn try_next(kurator: &str, hub: &Path, members: &[&Path]) -> Vec<Part> {
    let command = |text: String| Part::Command(text);
    let hub = hub.display();
    let mut parts = vec![
        Part::Title("Try next, in another terminal".to_owned()),
        command(format!("export KUBECONFIG={hub}")),
        command(format!("{kurator} describe backup specific-ns")),
        command(format!(
            "{kurator} backup create mine --fleet quickstart --include-namespaces kurator-backup --wait"
        )),
        command(format!("{kurator} get --watch")),
        Part::Text("and with kubectl:".to_owned()),
        command(format!(
            "kubectl --kubeconfig {hub} get fleets,backups.backup.kurator.dev,restores.backup.kurator.dev"
        )),
        command(format!("kubectl --kubeconfig {hub} describe backups.backup.kurator.dev schedule")),
    ];
    if let Some(member) = members.first() {
        let member = member.display();
        parts.push(command(format!(
            "kubectl --kubeconfig {member} get deployments,services,configmaps -n kurator-backup"
        )));
        parts.push(command(format!(
            "kubectl --kubeconfig {member} get backups.velero.io,restores.velero.io -n velero"
        )));
    }
    parts.push(Part::Title("Ctrl-C ends all of it".to_owned()));
    parts
}
