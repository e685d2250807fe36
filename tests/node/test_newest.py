from node.newest import Newest


def test_of_more_than_are_kept_the_oldest_goes() -> None:
    newest: Newest[str, int] = Newest(2)
    for number, key in enumerate(("a", "b", "c")):
        newest.keep(key, number)

    assert list(newest.items()) == [("b", 1), ("c", 2)]


def test_what_is_kept_again_is_as_new_and_takes_no_second_place() -> None:
    newest: Newest[str, int] = Newest(2)
    for number, key in enumerate(("a", "b", "a", "c")):
        newest.keep(key, number)

    assert list(newest.items()) == [("a", 2), ("c", 3)]


def test_what_was_taken_out_leaves_room() -> None:
    newest: Newest[str, int] = Newest(2)
    newest.keep("a", 0)
    newest.keep("b", 1)
    del newest["b"]
    newest.keep("c", 2)

    assert list(newest) == ["a", "c"]
