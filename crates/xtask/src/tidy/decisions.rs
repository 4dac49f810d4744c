//! Every decision has a page, and every page is in the index.

use super::{Finding, files::Files};

const INDEX: &str = "docs/decisions/README.md";

pub(super) fn check(files: &Files) -> Vec<Finding> {
    let index = files.get(INDEX).unwrap_or_default();
    let pages = files.iter().filter_map(|(path, _)| {
        let name = path.strip_prefix("docs/decisions/").filter(|name| name.ends_with(".md"))?;
        (path != INDEX && !index.contains(&format!("({name})"))).then_some(name)
    });
    let finding = |name: &str| Finding {
        file: INDEX.to_owned(),
        line: index.lines().count().max(1),
        advice: format!("does not link to {name}; add a line with the decision in one sentence"),
    };
    pages.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_the_index_does_not_link_is_found() {
        let files = Files::from(&[
            (INDEX, "# Decisions\n- [Positions](0001-positions.md)\n"),
            ("docs/decisions/0001-positions.md", ""),
            ("docs/decisions/0002-clock.md", ""),
        ]);
        let advice: Vec<String> = check(&files).into_iter().map(|finding| finding.advice).collect();
        assert_eq!(advice.len(), 1);
        assert!(advice[0].contains("0002-clock.md"));
    }
}
