//! Users as others see them: profiles, lists of people, friends.
