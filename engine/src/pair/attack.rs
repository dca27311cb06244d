pub fn attack(_: &crate::desk::Desk<'_>, _: &crate::ring::RingHandles) -> crate::error::Result<Vec<crate::ring::Attack>> { Ok(vec![]) }
