"""What a registration does where memory runs out, and what is given back before."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ElasticHyperRegLib import InputError, RegistrationOptions, register
from ElasticHyperRegLib.cli.summary import facts
from ElasticHyperRegLib.engine import memory, ran_out
from ElasticHyperRegLib.engine.answer import answer
from Testing.unit.small_pair import small_request

QUICK = RegistrationOptions(initial="none", refine=3, model="none", device="cpu")
PAGE = resource.getpagesize()
SMALL = 2**14
"""Numbers of 64 KiB in all: too small to be given pages of their own."""
FULL = "CUDA out of memory. Tried to allocate 2 GiB"


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried …"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling cublas"), True),
        (RuntimeError("GET was unable to find an engine to execute this computation"), True),
        (MemoryError(), True),
        (NotImplementedError("aten::grid_sampler_3d is not implemented for MPS"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_lack_of_memory_is_told_from_other_faults(error, out):
    assert ran_out(error) is out


def runs_on(monkeypatch, device: str) -> None:
    module = sys.modules[register.__module__]
    monkeypatch.setattr(module, "pick_device", lambda name: torch.device(device))


@pytest.fixture
def on_a_gpu(monkeypatch):
    """As if there were a GPU; gives what to call with a device's type and the fault it has."""
    faults: dict[str, Exception] = {}

    def answer_or_fault(request, pair, *rest):
        if pair.device.type in faults:
            raise faults[pair.device.type]
        return answer(request, pair, *rest)

    monkeypatch.setattr(memory, "answer", answer_or_fault)
    runs_on(monkeypatch, "cuda")
    return faults.__setitem__


def test_a_full_gpu_leaves_it_to_the_processor_and_says_so(on_a_gpu):
    request = small_request(2, options=QUICK)
    on_a_gpu("cuda", torch.OutOfMemoryError(FULL + "\nmore"))
    found = register(request)
    assert found.metrics["device"] == "cpu"
    assert found.metrics["device_note"] == f"on cpu, as cuda could not: {FULL}"
    assert found.metrics["device_note"] in facts(found.metrics)


def test_another_fault_of_the_gpu_is_not_taken_for_a_lack_of_memory(on_a_gpu):
    on_a_gpu("cuda", ValueError("shapes"))
    with pytest.raises(ValueError, match="shapes"):
        register(small_request(2, options=QUICK))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_memory_anywhere_is_one_line_that_helps(on_a_gpu, monkeypatch, device):
    runs_on(monkeypatch, device)
    on_a_gpu("cuda", torch.OutOfMemoryError(FULL))
    on_a_gpu("cpu", RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    with pytest.raises(InputError, match="no memory for .*can't allocate.* MiB free .* crop"):
        register(small_request(2, options=QUICK))


def test_a_fault_of_ours_on_the_processor_stays_one(on_a_gpu, monkeypatch):
    runs_on(monkeypatch, "cpu")
    on_a_gpu("cpu", NotImplementedError("aten::something"))
    with pytest.raises(NotImplementedError):
        register(small_request(2, options=QUICK))


PAGES = """
import resource, torch
from ElasticHyperRegLib.engine import memory

def cleared():
    for _ in range(3):
        torch.ones(2**24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

memory._left_to_programs = lambda: 2**40
memory._left_to_group = lambda: ()
print(cleared())
with memory.memory_kept(memory.LARGE_VOXELS, "ncc"):
    print(cleared())
"""
"""Pages that the system gives for four temporaries of 64 MiB, outside and inside."""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' C libraries have no such call")
def test_large_blocks_are_kept_where_there_is_plenty():
    words = [sys.executable, "-c", PAGES]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    outside, inside = map(int, told)
    assert inside < 0.1 * outside


@pytest.mark.parametrize(
    ("voxels", "free", "left", "kept"),
    [
        (memory.LARGE_VOXELS, 2**40, (), True),
        (memory.LARGE_VOXELS - 1, 2**40, (), False),
        (memory.LARGE_VOXELS, memory.BYTES["ncc"] * memory.LARGE_VOXELS, (), False),
        (memory.LARGE_VOXELS, 2**40, (2**20,), False),  # of a container
        (memory.LARGE_VOXELS, None, (), False),
    ],
)
def test_memory_is_kept_only_of_large_images_where_there_is_plenty(
    monkeypatch, voxels, free, left, kept
):
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(memory, "_mallopt", lambda: lambda *words: told.append(words))
    monkeypatch.setattr(memory, "_left_to_programs", lambda: free)
    monkeypatch.setattr(memory, "_left_to_group", lambda: left)
    with memory.memory_kept(voxels, "ncc"):
        assert ((memory.M_MMAP_MAX, 0) in told) == kept
        with memory.memory_kept(voxels, "ncc"):
            pass
        assert (memory.M_MMAP_MAX, 2**16) not in told, "the other has not ended"
    assert ((memory.M_MMAP_MAX, 2**16) in told) == kept


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.parametrize(
    ("statistics", "left"),
    [
        ("anon 200\nactive_file 30\ninactive_file 500\n", 800),
        ("cache 9\ninactive_file 1\ntotal_inactive_file 400\n", 700),  # version 1
        ("broken", 300),
        (None, 300),
    ],
)
def test_what_files_occupy_of_a_container_is_free_for_programs(
    tmp_path, monkeypatch, statistics, left
):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    if statistics is not None:
        (tmp_path / "memory.stat").write_text(statistics)
    group = (str(tmp_path), "memory.max", "memory.current")
    monkeypatch.setattr(memory, "GROUPS", {"": group, "memory": group})
    assert memory.available_bytes() == left


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' C libraries have no such call")
def test_freed_memory_goes_back_to_the_system():
    def occupied() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE

    memory.give_back()  # what other tests left would be used again, and not be new
    before = occupied()
    pieces = [torch.ones(SMALL) for _ in range(2_000)]
    full = occupied() - before
    # Every hundredth stays, as small objects of a page do: the heap cannot shrink from its end.
    pieces = pieces[::100]
    memory.give_back()
    assert full > 100 * 2**20
    assert occupied() - before < full / 5
    assert len(pieces) == 20
