//! A timer wheel with slots of one second. Setting a timer is cheap, and a timer is never moved: its owner looks when
//! it is due.

/// Slots of the wheel. A timer further ahead than one turn is looked at once a turn.
const SLOTS: usize = 64;

/// Items to look at again, each at a whole second.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(u32, T)>>,
    /// The next second to turn to.
    next: u32,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), next: 0 }
    }
}

impl<T> Wheel<T> {
    /// Sets a timer for `item` at second `at`. A second that has passed means the next turn.
    pub fn set(&mut self, at: u32, item: T) {
        let at = at.max(self.next);
        self.slots[at as usize % SLOTS].push((at, item));
    }

    /// Memory of the items that wait.
    #[cfg(test)]
    pub fn heap_bytes(&self) -> usize {
        self.slots.iter().map(|slot| slot.capacity() * size_of::<(u32, T)>()).sum()
    }

    /// Turns the wheel to second `now`. `due` gets the items that are due, in no order.
    pub fn turn(&mut self, now: u32, due: &mut Vec<T>) {
        while self.next <= now {
            let second = self.next;
            self.next += 1;
            let slot = &mut self.slots[second as usize % SLOTS];
            let mut place = 0;
            while place < slot.len() {
                if slot[place].0 <= second {
                    due.push(slot.swap_remove(place).1);
                } else {
                    place += 1;
                }
            }
            if slot.is_empty() && slot.capacity() > 1024 {
                slot.shrink_to(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_at_its_second_and_never_before() {
        let mut wheel = Wheel::default();
        for at in [0, 1, 63, 64, 65, 200, 3] {
            wheel.set(at, at);
        }
        let mut due = Vec::new();
        for now in 0..300 {
            due.clear();
            wheel.turn(now, &mut due);
            due.sort_unstable();
            let expected: Vec<u32> = [0, 1, 3, 63, 64, 65, 200].into_iter().filter(|at| *at == now).collect();
            assert_eq!(due, expected, "second {now}");
        }
        wheel.set(5, 5);
        wheel.turn(300, &mut due);
        assert_eq!(due, [5], "a second that has passed comes at the next turn");
    }

    #[test]
    fn a_late_turn_misses_nothing() {
        let mut wheel = Wheel::default();
        (0..500).for_each(|at| wheel.set(at, at));
        let mut due = Vec::new();
        wheel.turn(1000, &mut due);
        due.sort_unstable();
        assert_eq!(due, (0..500).collect::<Vec<_>>());
    }
}
