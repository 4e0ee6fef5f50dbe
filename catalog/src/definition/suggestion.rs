//! "Did you mean": the nearest of the words that would have been right.

/// `: did you mean `x`?`, or nothing where no candidate is near.
pub(crate) fn did_you_mean(word: &str, candidates: &[&str]) -> String {
    nearest(word, candidates)
        .map(|near| format!(": did you mean `{near}`?"))
        .unwrap_or_default()
}

fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let (distance, near) = candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), *candidate))
        .min()?;
    (distance <= (near.chars().count() / 3).max(1)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(nearest("stram", &["stream", "start"]), Some("stream"));
        assert_eq!(nearest("Colums", &["columns", "comment"]), Some("columns"));
        assert_eq!(nearest("zebra", &["stream", "start"]), None);
    }
}
