from gateway.processor import lacking

_ATOM = "processor\t: 0\nflags\t\t: fpu sse sse2 ht lm pni ssse3 cx16 lahf_lm\n"
_NEHALEM = "flags\t\t: fpu sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm\nbugs\t: spectre\n"


def test_missing_features_are_named_when_a_processor_is_too_old() -> None:
    assert lacking(_ATOM) == ["popcnt", "sse4_1", "sse4_2"]


def test_nothing_is_missing_when_a_processor_is_just_new_enough() -> None:
    assert lacking(_NEHALEM) == []


def test_nothing_is_missing_when_there_are_no_flags_as_on_arm() -> None:
    assert lacking("processor\t: 0\nFeatures\t: fp asimd crc32\n") == []
