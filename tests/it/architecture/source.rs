//! Reads Rust just well enough to see which paths a file names: comments and literals are blanked, `use` trees expanded,
//! `crate`, `self` and `super` resolved.

use std::iter::Peekable;
use std::path::Path;

/// The files of the repository that people write, by their path from its root.
pub(super) struct Tree(pub(super) Vec<File>);

pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// Folders that are made, not written; hidden ones are skipped but for those named in [`VISIBLE`].
const SKIPPED: [&str; 3] = ["target", "node_modules", "vectors"];
const VISIBLE: [&str; 3] = [".ci", ".cargo", ".github"];

impl Tree {
    pub(super) fn of_this_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        collect(root, root, &mut files);
        files.sort_by(|left, right| left.path.cmp(&right.path));
        assert!(files.iter().any(|file| file.path == "Cargo.toml"), "the repository is not where it was built");
        Self(files)
    }

    pub(super) fn sample(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self(files.iter().map(file).collect())
    }

    /// The Rust files below any of these folders (`""` for all).
    pub(super) fn rust_in<'a>(&'a self, folders: &'a [&str]) -> impl Iterator<Item = &'a File> {
        self.0
            .iter()
            .filter(move |file| file.has_extension("rs") && folders.iter().any(|folder| file.path.starts_with(folder)))
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let entries = std::fs::read_dir(folder).expect("the repository can be read");
    for entry in entries {
        let path = entry.expect("the repository can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let hidden = name.starts_with('.') && !VISIBLE.contains(&name);
        if hidden || SKIPPED.contains(&name) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("it was found below the root");
            files.push(File { path: relative.to_string_lossy().replace('\\', "/"), text });
        }
    }
}

impl File {
    pub(super) fn has_extension(&self, extension: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == extension)
    }

    /// The names of its folders and of itself without the extension, below `src/`.
    pub(super) fn module(&self) -> Vec<&str> {
        let Some((_, below)) = self.path.rsplit_once("src/") else { return Vec::new() };
        let mut names: Vec<&str> = below.trim_end_matches(".rs").split('/').collect();
        if matches!(names.last(), Some(&("mod" | "lib" | "main"))) {
            names.pop();
        }
        names
    }

    /// Every path the file names, `crate`, `self` and `super` resolved to the crate's root.
    pub(super) fn references(&self) -> Vec<Reference> {
        let mut references = read_references(&self.text);
        let module = self.module();
        for reference in &mut references {
            reference.resolve(&module);
        }
        references
    }

    /// `path:line`, as editors and terminals link it.
    pub(super) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path)
    }
}

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) line: usize,
    /// Its parts; `crate` first if it is one of the own crate. A method call is `.` and its name, a macro call ends in `!`.
    pub(super) path: Vec<String>,
}

impl Reference {
    pub(super) fn starts_with(&self, start: &[&str]) -> bool {
        self.path.len() >= start.len() && self.path.iter().zip(start).all(|(part, wanted)| part == wanted)
    }

    pub(super) fn ends_with(&self, end: &[&str]) -> bool {
        self.path.len() >= end.len() && self.path[self.path.len() - end.len()..].iter().zip(end).all(|(a, b)| a == b)
    }

    /// The crate's own module that it leads into.
    pub(super) fn local_module(&self) -> Option<&str> {
        match self.path.as_slice() {
            [start, module, ..] if start == "crate" => Some(module),
            _ => None,
        }
    }

    fn resolve(&mut self, module: &[&str]) {
        let ups = self.path.iter().take_while(|part| *part == "super").count();
        let relative = ups > 0 || self.path.first().is_some_and(|part| part == "self");
        if relative {
            let kept = &module[..module.len().saturating_sub(ups)];
            let rest = self.path.split_off(ups.max(1));
            let root = std::iter::once("crate").chain(kept.iter().copied()).map(str::to_owned);
            self.path = root.chain(rest).collect();
        } else if self.path.first().is_some_and(|part| part == "partita") {
            // The binary's name for its own library.
            "crate".clone_into(&mut self.path[0]);
        }
    }
}

/// The code with comments, strings and characters replaced by blanks; lines stay where they are.
pub(super) fn blank_literals(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let literal = literal_length(rest, code.chars().next_back());
        let length = literal.unwrap_or(first.len_utf8());
        let (taken, after) = rest.split_at(length);
        if literal.is_some() {
            code.extend(taken.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        } else {
            code.push(first);
        }
        rest = after;
    }
    code
}

/// How many bytes the comment or literal takes that begins here.
fn literal_length(text: &str, before: Option<char>) -> Option<usize> {
    let in_word = before.is_some_and(|character| character.is_alphanumeric() || character == '_');
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment_length(text));
    }
    if text.starts_with('"') {
        return Some(string_length(text));
    }
    if text.starts_with('\'') {
        return character_length(text);
    }
    if in_word {
        return None;
    }
    let after_prefix = text.trim_start_matches(['b', 'c']);
    let raw = after_prefix.strip_prefix('r')?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + closed)
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; none for a lifetime.
fn character_length(text: &str) -> Option<usize> {
    let body = &text[1..];
    let first = body.chars().next()?;
    if first == '\\' {
        let escape_end = body.char_indices().nth(2).map_or(body.len(), |(at, _)| at);
        return Some(1 + escape_end + body[escape_end..].find('\'')? + 1);
    }
    body[first.len_utf8()..].starts_with('\'').then_some(first.len_utf8() + 2)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (index, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word =
                rest.find(|character: char| !(character.is_alphanumeric() || character == '_')).unwrap_or(rest.len());
            let length = match (word, rest.starts_with("::")) {
                (0, true) => 2,
                (0, false) => first.len_utf8(),
                _ => word,
            };
            tokens.push(Token { line: index + 1, text: rest[..length].to_owned() });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

fn is_word(text: &str) -> bool {
    text.starts_with(|character: char| character.is_alphabetic() || character == '_')
}

fn read_references(text: &str) -> Vec<Reference> {
    let all = tokens(&blank_literals(text));
    let mut references = Vec::new();
    let mut stream = all.into_iter().peekable();
    let mut previous = String::new();
    while let Some(token) = stream.next() {
        let text = token.text.clone();
        if text == "use" {
            read_use_tree(&mut stream, &[], token.line, &mut references);
        } else if is_word(&text) {
            references.extend(read_path(&mut stream, token, &previous));
        }
        previous = text;
    }
    references
}

/// A path, a macro or a method call that begins with `first`; plain words are none.
fn read_path(stream: &mut Peekable<impl Iterator<Item = Token>>, first: Token, previous: &str) -> Option<Reference> {
    let line = first.line;
    let mut path = vec![first.text];
    while stream.next_if(|token| token.text == "::").is_some() {
        let Some(part) = stream.next_if(|token| is_word(&token.text)) else { break };
        path.push(part.text);
    }
    if stream.peek().is_some_and(|token| token.text == "!") {
        path.push("!".to_owned());
    }
    if previous == "." {
        path.insert(0, ".".to_owned());
    }
    (path.len() > 1).then_some(Reference { line, path })
}

/// The paths of a `use`, from behind the word or an inner brace to the end of the branch.
fn read_use_tree(
    stream: &mut Peekable<impl Iterator<Item = Token>>,
    prefix: &[String],
    line: usize,
    references: &mut Vec<Reference>,
) {
    let mut path = prefix.to_vec();
    let mut is_group = false;
    while let Some(token) = stream.next_if(|token| !matches!(token.text.as_str(), "," | "}" | ";")) {
        match token.text.as_str() {
            "{" => {
                is_group = true;
                loop {
                    read_use_tree(stream, &path, line, references);
                    if stream.next_if(|token| token.text == ",").is_none() {
                        break;
                    }
                }
                drop(stream.next_if(|token| token.text == "}"));
            }
            "as" => drop(stream.next()),
            "::" => {}
            part => path.push(part.to_owned()),
        }
    }
    if !is_group && path.len() > prefix.len() {
        references.push(Reference { line, path });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::sample(&[(path, text)]);
        tree.0[0].references().iter().map(|reference| reference.path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_expanded() {
        let text = "use a::{b, c::{self, d as e, *},};\npub use f;\nuse g as h;";
        assert_eq!(paths("src/x.rs", text), ["a::b", "a::c::self", "a::c::d", "a::c::*", "f", "g"]);
    }

    #[test]
    fn paths_macros_and_methods_are_seen_in_code() {
        let text = "fn f() -> a::B<c::D> { e::f!(g); h!(); x.begin(); i::j::<K>() }";
        assert_eq!(paths("src/x.rs", text), ["a::B", "c::D", "e::f::!", "h::!", ".::begin", "i::j"]);
    }

    #[test]
    fn relative_paths_are_resolved() {
        let text = "use super::a; use super::super::b; use self::c; use crate::d; use partita::e;";
        let expected = ["crate::x::a", "crate::b", "crate::x::y::c", "crate::d", "crate::e"];
        assert_eq!(paths("src/x/y.rs", text), expected);
        assert_eq!(paths("src/x/mod.rs", "use super::a;"), ["crate::a"]);
        assert_eq!(paths("ledger/src/lib.rs", "use self::a;"), ["crate::a"]);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        let text = "// a::b\n/* c::d /* e::f */ g::h */ let s = \"i::j \\\" k::l\"; let r = r#\"m::n \" o::p\"#;\n\
                    let c = 'q'; let d = '\\''; let b = b\"r::s\"; fn f<'t>(x: &'t u::V) {}";
        assert_eq!(paths("src/x.rs", text), ["u::V"]);
    }

    #[test]
    fn lines_are_counted_through_comments_and_strings() {
        let tree = Tree::sample(&[("src/x.rs", "/*\n\n*/\nlet s = \"\n\";\nuse a::b;")]);
        assert_eq!(tree.0[0].references()[0].line, 6);
    }
}
