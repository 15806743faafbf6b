"""Tests of memory budgets, and of the memory that a describer needs for a picture."""

import asyncio
from pathlib import Path

import pytest
from pictures import PHOTOGRAPHS, animation, encoded, halves
from PIL import Image
from vision_node_contract.models.reasons import DescribeError, Reason
from vision_node_describer.describers import load
from vision_node_describer.describers.imaging.picture import decoding_bytes
from vision_node_describer.memory import RESERVED_BYTES, Budget, Budgets

MIB = 1 << 20


async def test_reservation_waits_until_it_fits_into_the_budget() -> None:
    budget = Budget(RESERVED_BYTES + 100 * MIB)
    order: list[str] = []

    async def describe(name: str, wanted: int) -> None:
        async with budget.reserve(wanted):
            order.append(f"+{name}")
            await asyncio.sleep(0)
        order.append(f"-{name}")

    await asyncio.gather(describe("a", 60 * MIB), describe("b", 40 * MIB), describe("c", 100 * MIB))
    assert order.index("+b") < order.index("-a")
    assert max(order.index("-a"), order.index("-b")) < order.index("+c")


async def test_large_reservation_is_not_starved_by_small_ones() -> None:
    budget, order = Budget(RESERVED_BYTES + 100 * MIB), list[str]()

    async def describe(name: str, wanted: int) -> None:
        async with budget.reserve(wanted):
            order.append(name)
            await asyncio.sleep(0.001)

    small = [describe(f"small {n}", 40 * MIB) for n in range(3)]
    await asyncio.gather(small[0], describe("large", 100 * MIB), *small[1:])
    assert order == ["small 0", "large", "small 1", "small 2"]


async def test_reservation_is_released_after_an_error() -> None:
    budget = Budget(RESERVED_BYTES + MIB)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with budget.reserve(MIB):
                raise ZeroDivisionError


async def test_next_reservation_is_granted_if_the_first_waiting_one_is_cancelled() -> None:
    budget = Budget(RESERVED_BYTES + MIB)

    async def describe() -> None:
        async with budget.reserve(MIB):
            pass

    async with budget.reserve(MIB):
        first, second = asyncio.create_task(describe()), asyncio.create_task(describe())
        await asyncio.sleep(0)
        first.cancel()

    await asyncio.wait_for(second, 10)
    assert first.cancelled()


async def test_shrinking_a_reservation_frees_memory_immediately() -> None:
    budget = Budget(RESERVED_BYTES + 3 * MIB)
    async with budget.reserve(3 * MIB) as reservation:
        reservation.shrink(MIB)
        reservation.shrink(2 * MIB)  # has no effect: a reservation never grows
        async with asyncio.timeout(1), budget.reserve(2 * MIB):
            pass

    async with asyncio.timeout(1), budget.reserve(3 * MIB):
        pass


@pytest.mark.parametrize(
    ("scenario", "limit", "image", "files", "decoding", "largest"),
    [
        ("the chart's default values", 1024, 20, 96, 824, 48),
        ("a smaller worker", 256, 20, 96, 56, 48),
        ("too small for any picture", 128, 20, 96, 0, 48),
        ("a file of the maximum size fits", 1024, 100, 200, 720, 100),
        ("half of the memory is left for decoding", 1024, 1024, 460, 460, 230),
    ],
)
def test_worker_memory_is_divided_between_files_and_decoding(
    scenario: str, limit: int, image: int, files: int, decoding: int, largest: int
) -> None:
    budgets = Budgets.of(limit * MIB, image * MIB)
    shared = (budgets.files.total, budgets.decoding.total, budgets.largest_file_bytes)
    assert shared == (files * MIB, decoding * MIB, largest * MIB), scenario
    assert decoding == 0 or budgets.files.total + budgets.decoding.total <= (limit - 104) * MIB


async def test_error_for_a_reservation_larger_than_the_budget_states_both_sizes() -> None:
    sizes = "may take 500 MiB, but the worker has only 100 MiB"
    with pytest.raises(DescribeError, match=sizes) as caught:
        async with Budget(RESERVED_BYTES + 100 * MIB).reserve(500 * MIB):
            pass
    assert caught.value.reason is Reason.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    ("kind", "per_pixel"),
    [("JPEG", 4), ("PNG", 5), ("GIF", 5), ("BMP", 8), ("AVIF", 10), ("WebP", 17), ("TIFF", 10)],
)
def test_memory_of_a_picture_depends_on_its_format(kind: str, per_pixel: int) -> None:
    picture = Image.new("RGB", (400, 300))
    image = encoded(picture, kind)
    assert decoding_bytes(image) == 400 * 300 * per_pixel + 2 * len(image)


@pytest.mark.parametrize(
    ("mode", "options", "coefficients"),
    [
        ("RGB", {}, 0),
        ("RGB", {"subsampling": "4:2:0"}, 0),
        ("L", {}, 0),
        ("CMYK", {}, 0),
        ("RGB", {"progressive": True, "subsampling": "4:4:4"}, 6),
        ("RGB", {"progressive": True, "subsampling": "4:2:2"}, 4),
        ("RGB", {"progressive": True, "subsampling": "4:2:0"}, 3),
        ("L", {"progressive": True}, 2),
        ("CMYK", {"progressive": True}, 8),
    ],
)
def test_memory_of_a_jpeg_includes_the_coefficients_that_the_decoder_keeps(
    mode: str, options: dict[str, object], coefficients: int
) -> None:
    image = encoded(Image.new(mode, (1000, 800)), "JPEG", **options)
    files = 2 * len(image)
    assert decoding_bytes(image) == 800_000 * (4 + coefficients) + files
    assert decoding_bytes(image, is_reduced=True) == 800_000 * (0.25 + coefficients) + files


def test_sequential_jpeg_with_a_scan_for_each_component_keeps_its_coefficients() -> None:
    image = encoded(Image.new("RGB", (64, 64)), "JPEG", subsampling="4:4:4")
    scan = image.index(b"\xff\xda")
    only_luma = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    several = image[:scan] + only_luma + image[scan + 14 :]
    assert decoding_bytes(several) == 64 * 64 * (4 + 6) + 2 * len(several)


def test_shared_memory_is_available_for_neither_files_nor_decoding() -> None:
    plain, shared = Budgets.of(1 << 30, 20 << 20), Budgets.of(1 << 30, 20 << 20, 300 << 20)
    assert shared.files.total == plain.files.total
    assert shared.decoding.total == plain.decoding.total - (300 << 20)


@pytest.mark.parametrize(("kind", "per_pixel"), [("GIF", 14), ("PNG", 10)])
def test_animation_takes_more_memory_than_a_still_picture(kind: str, per_pixel: int) -> None:
    image = animation(kind)
    assert load("metadata").memory(image) == 64 * 48 * per_pixel + 2 * len(image)


@pytest.mark.parametrize("image", [b"", b"no image", encoded(halves(), "PNG")[:20]])
def test_unreadable_file_takes_no_memory(image: bytes) -> None:
    assert load("metadata").memory(image) == 0


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_photographs_take_little_memory(path: Path) -> None:
    assert 0 < load("metadata").memory(path.read_bytes()) < 16 * MIB


def test_noop_describer_takes_no_memory() -> None:
    assert load("nothing").memory(encoded(halves(), "PNG")) == 0


@pytest.mark.parametrize(("wanted", "granted"), [(40 * MIB, True), (41 * MIB, False)])
async def test_reservation_grows_only_if_memory_is_available_now(
    wanted: int, *, granted: bool
) -> None:
    budget = Budget(100 * MIB, 0)
    async with budget.reserve(60 * MIB):
        with budget.reserve_later() as reservation:
            assert await asyncio.to_thread(reservation.try_grow, wanted) == granted

        async with asyncio.timeout(1), budget.reserve(40 * MIB):
            pass


async def test_reservation_does_not_grow_while_another_one_is_waiting() -> None:
    """Otherwise, a stream of small images would starve a large one."""
    budget = Budget(100 * MIB, 0)

    async def describe_large() -> None:
        async with budget.reserve(100 * MIB):
            pass

    async with budget.reserve(60 * MIB):
        large = asyncio.create_task(describe_large())
        await asyncio.sleep(0)
        with budget.reserve_later() as reservation:
            assert not reservation.try_grow(1)

    await asyncio.wait_for(large, 10)
