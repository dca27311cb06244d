//! Makes a sequence as short as it can be while it still shows the same.

use super::call::Call;
use crate::module::Result;

/// Leaves out as many calls as can be left out, first many at a time, then each alone.
pub(super) fn shortest(
    calls: &[Call],
    mut shows: impl FnMut(&[Call]) -> Result<bool>,
) -> Result<Vec<Call>> {
    let mut best = calls.to_vec();
    let mut size = best.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.len() {
            let end = best.len().min(at + size);
            let fewer: Vec<_> = best
                .iter()
                .enumerate()
                .filter(|(place, _)| !(at..end).contains(place))
                .map(|(_, call)| call.clone())
                .collect();
            if shows(&fewer)? {
                best = fewer;
            } else {
                at = end;
            }
        }
        size /= 2;
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::generate::sequence;

    #[test]
    fn what_is_left_is_what_it_takes() {
        let calls = sequence(3);
        let wanted = [calls[2].id, calls[7].id];
        let short = shortest(&calls, |fewer| {
            Ok(wanted.iter().all(|id| fewer.iter().any(|call| call.id == *id)))
        });
        let ids: Vec<_> = short.unwrap().iter().map(|call| call.id).collect();
        assert_eq!(ids, wanted);
    }
}
