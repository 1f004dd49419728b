//! The user's guide and the README's commands, walked on real components: every block of commands is run, and what it
//! prints compared.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Instant;

use kurator_api::fleet::Engine;

use crate::fixtures::{FixtureError, ready};
use crate::guide::{self, Block, Content, Step};
use crate::{Lab, LabError, LabSpec, Serving};

/// The pages, in the order of the story.
const PAGES: [&str; 6] = ["fleet.md", "backup.md", "restore.md", "migrate.md", "engine.md", "clean-up.md"];

/// The program, as the README names it.
const README_PROGRAM: &str = "target/release/kurator";
/// What the hub is walked with.
const HUB_RIGHTS: &str = "examples/rbac/hub.yaml";
/// Removes what the guide leaves in the members, so that the README can make it.
const CLEARED: &str = "for member in $MEMBER1 $MEMBER2; do kubectl --kubeconfig $member delete namespace kurator-backup \
                       kurator-beside --ignore-not-found; done";

/// The lab that the guide is walked in with this engine: Velero is in the members, or they have nothing.
#[must_use]
pub fn lab(engine: Engine) -> LabSpec {
    LabSpec { members: 2, velero: engine == Engine::Velero, s3: true }
}

/// A step that did not end as the guide says.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// Commands failed.
    #[error("{page}:{line}: failed: {said}\n{script}")]
    Failed {
        /// The page.
        page: String,
        /// Line of the block.
        line: usize,
        /// What was run.
        script: String,
        /// What it wrote to stderr.
        said: String,
    },
    /// Commands printed something else.
    #[error("{page}:{line}: printed\n{found}\ninstead of\n{expected}")]
    Differs {
        /// The page.
        page: String,
        /// Line of the block.
        line: usize,
        /// What the page says.
        expected: String,
        /// What was printed.
        found: String,
    },
    /// A cluster was asked for something that the rights of `examples/rbac` do not cover, or for nothing with them.
    #[error("{cluster}: asked with the rights of examples/rbac, and refused: {refused:?}")]
    Rights {
        /// The cluster.
        cluster: String,
        /// What it refused.
        refused: Vec<String>,
    },
    /// The hub does not serve the API.
    #[error("kurator did not become ready")]
    NotReady(#[from] FixtureError),
    /// The lab itself failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file or pipe failed.
    #[error("cannot use {what}")]
    Io {
        /// The file or pipe.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Walks the guide in the lab of this engine, and tells each step as it is done. Steps about the other engine are left
/// out.
///
/// `kurator` is the program, `root` the folder that holds `docs` and `examples`.
///
/// # Errors
/// The first step that does not end as it should.
pub fn walk(
    lab: &Lab,
    engine: Engine,
    kurator: &Path,
    root: &Path,
    tell: &dyn Fn(&str),
) -> Result<(), WalkError> {
    let walk = Walk { lab, engine, kurator: kurator.to_owned(), root: root.to_owned(), tell };
    let hub = walk.hub()?;
    let serving = Serving::start_as(
        lab,
        &hub,
        kurator,
        ["--lease-namespace", "kurator", "--default-engine", engine.as_str()],
    )?;
    lab.run(ready(&serving))?;
    let walked = walk.all().and_then(|()| walk.rights());
    if walked.is_err() {
        let log = serving.log().unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(30).collect();
        tell(&format!("end of kurator's log:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")));
    }
    walked
}

struct Walk<'a> {
    lab: &'a Lab,
    engine: Engine,
    kurator: PathBuf,
    root: PathBuf,
    tell: &'a dyn Fn(&str),
}

impl Walk<'_> {
    /// A kubeconfig of the hub with the rights that it needs, and no others.
    fn hub(&self) -> Result<PathBuf, WalkError> {
        let block = Block {
            line: 0,
            content: Content::Commands { script: format!("kubectl apply -f {HUB_RIGHTS}"), prints: None },
        };
        self.block(HUB_RIGHTS, &block)?;
        Ok(self.lab.run(self.lab.hub().kubeconfig_of("kurator", "kurator"))?)
    }

    /// Sees that nothing was asked of a cluster that the rights of `examples/rbac` do not cover.
    fn rights(&self) -> Result<(), WalkError> {
        for cluster in self.lab.clusters() {
            let audit = cluster.audit()?;
            if audit.requests == 0 || !audit.refused.is_empty() {
                let cluster = cluster.name().to_owned();
                return Err(WalkError::Rights { cluster, refused: audit.refused });
            }
        }
        Ok(())
    }

    fn all(&self) -> Result<(), WalkError> {
        for page in PAGES {
            let path = self.root.join("docs/guide").join(page);
            let steps = guide::read(&path)
                .map_err(|source| WalkError::Io { what: path.display().to_string(), source })?;
            let is_ours = |step: &&Step| step.engine.as_ref().is_none_or(|of| of == self.engine.as_str());
            for step in steps.iter().filter(is_ours) {
                self.step(page, step)?;
            }
        }
        self.readme()
    }

    /// What the README has one type into a lab, with this program, once the guide's namespaces are gone.
    fn readme(&self) -> Result<(), WalkError> {
        let path = self.root.join("README.md");
        let steps = guide::read(&path)
            .map_err(|source| WalkError::Io { what: path.display().to_string(), source })?;
        let kurator = self.kurator.display().to_string();
        for mut step in steps {
            step.blocks.retain_mut(|block| match &mut block.content {
                Content::Commands { script, .. } if script.contains("$MEMBER1") => {
                    *script = format!("{CLEARED}\n{}", script.replace(README_PROGRAM, &kurator));
                    true
                }
                Content::Commands { .. } | Content::Objects(_) => false,
            });
            if !step.blocks.is_empty() {
                self.step("README.md", &step)?;
            }
        }
        Ok(())
    }

    fn step(&self, page: &str, step: &Step) -> Result<(), WalkError> {
        let began = Instant::now();
        let done = step.blocks.iter().try_for_each(|block| self.block(page, block));
        let mark = if done.is_ok() { "ok  " } else { "FAIL" };
        let (seconds, title) = (began.elapsed().as_secs_f64(), &step.title);
        (self.tell)(&format!("{mark} {seconds:6.1} s  {page}: {title}"));
        done
    }

    fn block(&self, page: &str, block: &Block) -> Result<(), WalkError> {
        let (script, input, prints) = match &block.content {
            Content::Commands { script, prints } => (script.as_str(), "", prints.as_deref()),
            Content::Objects(yaml) => ("kubectl apply --dry-run=server -f -", yaml.as_str(), None),
        };
        let (page, line) = (page.to_owned(), block.line);
        let output = self.run(script, input)?;
        if !output.status.success() {
            return Err(WalkError::Failed { page, line, script: script.to_owned(), said: stderr(&output) });
        }
        let found = plain(&String::from_utf8_lossy(&output.stdout));
        match prints.map(plain) {
            Some(expected) if expected != found => Err(WalkError::Differs { page, line, expected, found }),
            _ => Ok(()),
        }
    }

    /// Runs commands in the lab's network, as a user of the hub with the members' kubeconfigs at hand.
    fn run(&self, script: &str, input: &str) -> Result<Output, WalkError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| WalkError::Io { what, source }
        };
        let mut command = self.lab.command("bash");
        command.args(["-euo", "pipefail", "-c", script]).current_dir(&self.root);
        command.env("KUBECONFIG", self.lab.hub().kubeconfig_path());
        for i in 1..=2 {
            command.env(format!("MEMBER{i}"), self.lab.member(i).kubeconfig_path());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(io("bash"))?;
        if let Some(mut stdin) = child.stdin.take() {
            std::io::Write::write_all(&mut stdin, input.as_bytes()).map_err(io("bash's input"))?;
        }
        child.wait_with_output().map_err(io("bash"))
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Without blanks at the ends of lines and of the whole.
fn plain(text: &str) -> String {
    text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(page: &str) -> Vec<Step> {
        guide::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page)).unwrap()
    }

    #[test]
    fn the_readme_has_commands_for_a_lab() {
        let mut blocks = steps("README.md").into_iter().flat_map(|step| step.blocks);
        assert!(blocks.any(|block| match block.content {
            Content::Commands { script, .. } =>
                script.contains("$MEMBER1") && script.contains(README_PROGRAM),
            Content::Objects(_) => false,
        }));
    }

    #[test]
    fn steps_about_one_engine_are_known_as_such() {
        let of = |page| steps(page).into_iter().filter_map(|step| step.engine).collect::<Vec<_>>();
        assert_eq!(of("docs/guide/engine.md"), ["Builtin", "Builtin"]);
        assert_eq!(of("docs/guide/clean-up.md"), ["Velero"]);
    }
}
