//! The rules of the places of a side, one by one.

use super::*;

fn level(price: i64) -> LevelView {
    LevelView {
        price,
        quantity: 5,
        orders: 1,
    }
}

/// A bid side of three places.
fn places(known: &[Option<i64>]) -> Places {
    let place = |price: &Option<i64>| price.map_or(Place::Unknown, |p| Place::Known(level(p)));
    Places(known.iter().map(place).collect())
}

fn apply(places: &mut Places, place: usize, change: LevelChange) -> bool {
    let applied = places.apply(Side::Bid, place, change);
    assert_eq!(places.check(Side::Bid), Ok(()));
    applied.is_ok()
}

/// A new level shifts what is below it, known or not, and cuts at the depth.
#[test]
fn new_shifts_down_and_cuts() {
    let mut side = places(&[Some(10), None, Some(8)]);
    assert!(apply(&mut side, 1, LevelChange::New(level(11))));
    assert_eq!(side, places(&[Some(11), Some(10), None]));
    assert!(apply(&mut side, 3, LevelChange::New(level(9))));
    assert_eq!(side, places(&[Some(11), Some(10), Some(9)]));
}

/// A delete shifts up; below the last place there is nothing until a new level says so.
#[test]
fn delete_shifts_up() {
    let mut side = places(&[Some(10), None, Some(8)]);
    assert!(apply(&mut side, 1, LevelChange::Delete(Some(10))));
    let mut expected = places(&[None, Some(8), None]);
    expected.0[2] = Place::Empty;
    assert_eq!(side, expected);
    assert!(apply(&mut side, 3, LevelChange::New(level(7))));
    assert_eq!(side, places(&[None, Some(8), Some(7)]));
    assert!(apply(&mut side, 1, LevelChange::Delete(None)));
}

/// Each contradiction leaves a side of which only the entry itself is known.
#[test]
fn contradictions_leave_what_the_entry_said() {
    let known = places(&[Some(10), Some(9), Some(8)]);
    for (place, change) in [
        (2, LevelChange::New(level(10))),
        (2, LevelChange::New(level(8))),
        (2, LevelChange::Change(level(7))),
        (2, LevelChange::Delete(Some(7))),
    ] {
        let mut side = known.clone();
        assert!(!apply(&mut side, place, change), "{change:?}");
        let mut expected = places(&[None, None, None]);
        if let LevelChange::New(level) | LevelChange::Change(level) = change {
            expected.0[1] = Place::Known(level);
        }
        assert_eq!(side, expected, "{change:?}");
    }
    for place in [0, 4] {
        let mut side = known.clone();
        assert!(!apply(&mut side, place, LevelChange::New(level(7))));
        assert_eq!(side, places(&[None, None, None]));
    }
}

/// Nothing can be changed, deleted or put below where there is nothing.
#[test]
fn an_empty_place_has_no_level() {
    let empty = Places(vec![Place::Empty; 3]);
    for (place, change) in [
        (1, LevelChange::Change(level(1))),
        (1, LevelChange::Delete(None)),
        (1, LevelChange::Delete(Some(1))),
        (2, LevelChange::New(level(1))),
    ] {
        assert!(!apply(&mut empty.clone(), place, change), "{change:?}");
    }
    let mut side = empty;
    assert!(apply(&mut side, 1, LevelChange::New(level(1))));
    assert!(apply(&mut side, 2, LevelChange::New(level(0))));
}

/// A reader sees levels up to the first unknown place, and how many places are unknown.
#[test]
fn readers_see_what_is_known_from_the_top() {
    let mut book = PriceBook::new(7, false);
    for (place, price) in [(1, 10), (2, 9), (4, 7)] {
        let change = LevelChange::Change(level(price));
        assert_eq!(book.apply(Kind::Real, Side::Bid, place, change), Ok(()));
    }
    let prices = book.levels(Kind::Real, Side::Bid).map(|level| level.price);
    assert_eq!(prices.collect::<Vec<_>>(), [10, 9]);
    assert_eq!(book.known(Kind::Real, Side::Bid).count(), 3);
    assert_eq!(book.unknown(Kind::Real, Side::Bid), 7);
    assert_eq!(book.best(Kind::Real, Side::Ask), None);
    assert_eq!(book.depth(Kind::Implied), 2);
    // A depth that grows says nothing of the places that are new; one that shrinks cuts.
    book.set_depths(12, 1);
    assert_eq!(book.unknown(Kind::Real, Side::Bid), 9);
    book.set_depths(2, 1);
    assert_eq!(book.unknown(Kind::Real, Side::Bid), 0);
    book.clear();
    assert_eq!(book.unknown(Kind::Real, Side::Ask), 0);
}
