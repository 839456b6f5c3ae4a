"""Folders that plugins are dropped into while the gateway runs."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.inference.directory import Change, PluginDirectory, content_digest
from gateway.inference.scaffold import new_plugin
from tests.plugins.samples import PLUGINS

LIMIT_S = 5.0


@asynccontextmanager
async def watched(*dirs: Path) -> AsyncIterator[tuple[PluginDirectory, asyncio.Queue[Change]]]:
    directory = PluginDirectory(dirs)
    directory.scan()
    changes: asyncio.Queue[Change] = asyncio.Queue(100)
    watch = asyncio.create_task(directory.watch(changes.put))
    await asyncio.sleep(0.1)
    try:
        yield directory, changes
    finally:
        watch.cancel()
        async with asyncio.timeout(2):
            await asyncio.gather(watch, return_exceptions=True)


async def next_change(changes: "asyncio.Queue[Change]") -> Change:
    return await asyncio.wait_for(changes.get(), LIMIT_S)


def names(change: Change) -> tuple[list[str], list[str], list[str]]:
    added, changed = ([m.name for m in part] for part in (change.added, change.changed))
    return added, changed, list(change.removed)


def test_later_directory_wins_when_names_are_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    new_plugin("a", first)
    new_plugin("b", first)
    new_plugin("a", second)
    found = PluginDirectory([first, second, tmp_path / "none"]).scan()
    assert {n: f.manifest.folder.parent for n, f in found.plugins.items()} == {
        "a": second,
        "b": first,
    }
    assert set(PluginDirectory([first], disabled=["a"]).scan().plugins) == {"b"}


def test_valid_plugin_stays_when_a_later_one_of_its_name_is_broken(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    new_plugin("a", first)
    (second / "a").mkdir(parents=True)
    (second / ".hidden").mkdir()
    found = PluginDirectory([first, second]).scan()
    assert found.plugins["a"].manifest.folder == first / "a"
    assert [e.file for e in found.rejected] == [str(second / "a" / "plugin.toml")]


def test_digest_tells_content_and_nothing_else_when_files_change(tmp_path: Path) -> None:
    folder = new_plugin("a", tmp_path, code=True)
    before = content_digest(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "plugin.pyc").write_bytes(b"x")
    (folder / ".plugin.py.swp").write_bytes(b"x")
    (folder / "plugin.py").touch()
    assert content_digest(folder) == before
    (folder / "plugin.py").write_text("# other", encoding="utf-8")
    assert content_digest(folder) != before


async def test_change_is_told_when_a_plugin_comes_changes_and_goes(tmp_path: Path) -> None:
    async with watched(tmp_path) as (_, changes):
        folder = new_plugin("a", tmp_path)
        assert names(await next_change(changes)) == (["a"], [], [])
        manifest = folder / "plugin.toml"
        text = manifest.read_text(encoding="utf-8")
        manifest.write_text(text.replace("0.1.0", "0.2.0"), encoding="utf-8")
        change = await next_change(changes)
        assert names(change) == ([], ["a"], [])
        assert change.changed[0].version == "0.2.0"
        manifest.write_text(text.replace("hop_s", "hop"), encoding="utf-8")
        change = await next_change(changes)
        assert names(change) == ([], [], ["a"])
        assert change.rejected[0].field == "window.hop"
        shutil.rmtree(folder)
        change = await next_change(changes)
        assert (names(change), change.rejected) == (([], [], []), ())


async def test_folder_is_taken_up_whole_when_it_is_copied_slowly(tmp_path: Path) -> None:
    async with watched(tmp_path) as (_, changes):
        source = PLUGINS / "raising"
        files = [f for f in source.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
        for file in sorted(files, reverse=True):
            target = tmp_path / "raising" / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            await asyncio.sleep(0.1)
        change = await next_change(changes)
        assert (names(change), change.rejected) == ((["raising"], [], []), ())
        assert changes.empty()


async def test_folder_is_taken_up_when_it_is_renamed_in(tmp_path: Path) -> None:
    new_plugin("a", tmp_path / "elsewhere")
    (tmp_path / "drop").mkdir()
    async with watched(tmp_path / "drop") as (_, changes):
        (tmp_path / "elsewhere" / "a").rename(tmp_path / "drop" / "a")
        assert names(await next_change(changes)) == (["a"], [], [])


async def test_directory_is_made_and_watched_again_when_it_goes(tmp_path: Path) -> None:
    drop = tmp_path / "state" / "plugins"
    async with watched(drop) as (_, changes):
        assert drop.is_dir()
        new_plugin("a", drop)
        assert names(await next_change(changes)) == (["a"], [], [])
        shutil.rmtree(tmp_path / "state")
        assert names(await next_change(changes)) == ([], [], ["a"])
        new_plugin("b", drop)
        assert names(await next_change(changes)) == (["b"], [], [])


async def test_directory_is_watched_when_it_could_not_be_made_at_first(tmp_path: Path) -> None:
    (tmp_path / "drop").write_text("a file in the way", encoding="utf-8")
    async with watched(tmp_path / "drop") as (_, changes):
        (tmp_path / "drop").unlink()
        new_plugin("a", tmp_path / "drop")
        assert names(await next_change(changes)) == (["a"], [], [])
