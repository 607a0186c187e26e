//! Who gets the free slots of a lane. The tenant with the fewest mails in flight comes first, so a long queue
//! gets what others leave; and one slot stays out of any single tenant's reach, so that whoever comes next is
//! served at once.

use std::collections::HashMap;

use entity::TenantId;

/// Splits the free slots of one lane among tenants with due mails, given in the order of their turn. `slots`
/// is the lane's size, `free` how many of them are free, `busy` what each tenant has in flight.
#[must_use]
pub fn share(
    slots: usize,
    free: usize,
    busy: &HashMap<TenantId, usize>,
    waiting: &[TenantId],
) -> Vec<(TenantId, usize)> {
    let most = slots.saturating_sub(1).max(1);
    let mut shares: Vec<(TenantId, usize, usize)> =
        waiting.iter().map(|tenant| (*tenant, busy.get(tenant).copied().unwrap_or_default(), 0)).collect();
    for _ in 0..free {
        // min_by_key gives the first of equals: the order of turns
        let next = shares.iter_mut().filter(|(_, busy, more)| busy + more < most);
        let Some(next) = next.min_by_key(|(_, busy, more)| *busy + *more) else { break };
        next.2 += 1;
    }
    shares.into_iter().filter(|(.., more)| *more > 0).map(|(tenant, _, more)| (tenant, more)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenants<const N: usize>() -> [TenantId; N] {
        std::array::from_fn(|_| TenantId::new())
    }

    #[test]
    fn one_tenant_alone_fills_all_slots_but_one() {
        let [a] = tenants();
        assert_eq!(share(8, 8, &HashMap::new(), &[a]), vec![(a, 7)]);
        assert_eq!(share(8, 1, &HashMap::from([(a, 7)]), &[a]), vec![]);
        assert_eq!(share(1, 1, &HashMap::new(), &[a]), vec![(a, 1)], "a lane of one slot still moves");
    }

    #[test]
    fn who_has_least_in_flight_comes_first() {
        let [a, b, c] = tenants();
        assert_eq!(share(8, 4, &HashMap::from([(a, 4)]), &[a, b]), vec![(b, 4)]);
        assert_eq!(share(8, 8, &HashMap::new(), &[a, b, c]), vec![(a, 3), (b, 3), (c, 2)]);
        assert_eq!(share(8, 1, &HashMap::from([(a, 7)]), &[a, b]), vec![(b, 1)], "the slot kept for others");
    }
}
