//! The user's guide as a program: what stands in its blocks is what is run.
//!
//! A page is Markdown. Each heading of the second level begins a step; in it,
//! - a `console` block is run by a shell and must succeed;
//! - a `text` block that follows at once, but for blank lines, is what the commands before it print;
//! - a `yaml` block is an object that the hub's API server must accept;
//! - a line that begins with ``*Only with `engine: NAME`*`` says that the step is for fleets with this engine alone.

use std::path::Path;
use std::{fs, io};

/// Everything below one heading of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The heading.
    pub title: String,
    /// The engine that it is about; none means all.
    pub engine: Option<String>,
    /// Its blocks, in order.
    pub blocks: Vec<Block>,
}

/// A block of a page, and the line on which it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Counted from 1.
    pub line: usize,
    /// What is to be done with it.
    pub content: Content,
}

/// What a block is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Commands, and what they print if the page says so.
    Commands {
        /// As typed into a shell.
        script: String,
        /// Their standard output.
        prints: Option<String>,
    },
    /// Objects of the hub.
    Objects(String),
}

/// Reads a page.
///
/// # Errors
/// The file can't be read.
pub fn read(page: &Path) -> io::Result<Vec<Step>> {
    fs::read_to_string(page).map(|text| parse(&text))
}

/// The steps of a page that have anything to run.
#[must_use]
pub fn parse(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = page.lines().enumerate();
    // Whether nothing but blank lines has come since the last block of commands.
    let mut after_commands = false;
    while let Some((index, line)) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            steps.push(Step { title: title.trim().to_owned(), engine: None, blocks: Vec::new() });
        }
        let engine = line.strip_prefix("*Only with `engine: ").and_then(|rest| rest.split_once("`*"));
        if let (Some(step), Some((engine, _))) = (steps.last_mut(), engine) {
            step.engine = Some(engine.to_owned());
        }
        let Some(kind) = line.strip_prefix("```") else {
            after_commands &= line.trim().is_empty();
            continue;
        };
        let body: Vec<_> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim_end() != "```").collect();
        let body = body.join("\n");
        let Some(step) = steps.last_mut() else { continue };
        let content = match kind.trim() {
            "console" => Content::Commands { script: body, prints: None },
            "yaml" => Content::Objects(body),
            "text" if after_commands => {
                if let Some(Block { content: Content::Commands { prints, .. }, .. }) = step.blocks.last_mut()
                {
                    *prints = Some(body);
                }
                continue;
            }
            _ => continue,
        };
        after_commands = matches!(content, Content::Commands { .. });
        step.blocks.push(Block { line: index + 1, content });
    }
    steps.retain(|step| !step.blocks.is_empty());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_can_be_about_one_engine() {
        let page = "## One\n\n*Only with `engine: Velero`*: words.\n\n```console\na\n```\n\n## Two\n\n```console\nb\n```\n";
        let engines: Vec<_> = parse(page).into_iter().map(|step| step.engine).collect();
        assert_eq!(engines, [Some("Velero".to_owned()), None]);
    }

    #[test]
    fn commands_go_with_the_output_that_follows_them() {
        let page = "# Page\n\n## One\n\n```console\nkubectl get x\n```\n\n```text\nx\n```\n\nWords.\n\n```text\nno output\n```\n\
                    \n## Two\n\nWords.\n\n```yaml\nkind: Fleet\n```\n";
        let steps = parse(page);
        let titles: Vec<_> = steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(titles, ["One", "Two"]);
        let commands = Content::Commands { script: "kubectl get x".to_owned(), prints: Some("x".to_owned()) };
        assert_eq!(steps[0].blocks, [Block { line: 5, content: commands }]);
        assert_eq!(steps[1].blocks[0].content, Content::Objects("kind: Fleet".to_owned()));
    }
}
