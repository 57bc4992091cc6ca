"""What jobs need of a machine, and the slots that a machine has for them."""

import math
import os

import pytest
import torch
from torch import nn

from slt_bench.execution.executors import local
from slt_bench.execution.executors.local import Slot, make_slots
from slt_bench.execution.planning import cost
from slt_bench.execution.planning.arrays import Needs
from slt_bench.execution.planning.cost import Cost, Costs
from slt_bench.execution.planning.resources import memory_gb, needs_of, threads_of, with_options
from slt_bench.jobs.benchmark import Budget
from slt_bench.network import architectures
from slt_bench.network.frozen import check_shape, footprint
from slt_bench.utils.cores import threads_of_environment

LADDER = (("lenet300", "mnist"), ("resnet20", "cifar10"), ("resnet18", "cifar10"), ("wrn28_10", "cifar10"))
NOTHING = Costs()


def needs(job, costs=NOTHING, device="cpu", threads=None):
    return needs_of(costs, device=device, threads=threads)(job)


def known(job, **values):
    return Costs({cost.kind(job): Cost(**({"seconds": 1.0} | values))})


def test_needs_grow_with_the_architecture(make_job):
    jobs = [make_job(arch=arch, dataset=dataset) for arch, dataset in LADDER]
    memory = [memory_gb(job) for job in jobs]
    assert memory == sorted(memory)
    assert memory[-1] > memory[0] + 4
    found = [needs(job) for job in jobs]
    assert [one.mem_gb for one in found] == sorted(one.mem_gb for one in found)
    assert [one.cpus for one in found] == [1, 1, 4, 4]


def test_needs_grow_with_the_batch_and_with_the_data(make_job):
    def memory(batch_size, dataset):
        return memory_gb(make_job(arch="conv2", dataset=dataset, budget=Budget(epochs=1, batch_size=batch_size)))

    assert memory(16, "cifar10") < memory(128, "cifar10") < memory(1024, "cifar10")
    assert memory(16, "digits") < memory(16, "cifar10")


def test_a_small_job_fits_into_the_memory_of_any_machine(make_job):
    assert 1 <= needs(make_job()).mem_gb <= 2


def test_the_estimate_is_at_least_what_the_numbers_of_a_step_take(make_job):
    """Weights, gates, gradients and two moments, and each layer's output with its gradient."""
    job = make_job(arch="wrn28_10", dataset="cifar10", budget=Budget(epochs=1, batch_size=128))
    weights, outputs = footprint("wrn28_10", (3, 32, 32), 10)
    assert memory_gb(job) > 4 * (5 * weights + 2 * 128 * outputs) / 2**30


def test_the_threads_that_are_asked_for_are_the_cores(make_job):
    assert needs(make_job(), threads=3).cpus == 3
    assert needs(make_job(), device="cuda", threads=3).cpus == 3


@pytest.mark.parametrize("cores", [1, 2, 3, 6, 16, 64])
def test_larger_steps_have_more_threads_and_fill_the_cores(make_job, cores):
    jobs = [make_job(arch=arch, dataset=dataset, budget=Budget(epochs=1, batch_size=128)) for arch, dataset in LADDER]
    threads = [threads_of(job, cores) for job in jobs]
    assert threads == sorted(threads)
    assert threads[0] == 1
    assert threads[-1] >= cores / 4
    for each in threads:
        assert 1 <= each <= cores
        assert cores - each * (cores // each) < cores // each + 1, "no core is left that jobs of this size could share"


def test_a_small_step_has_one_thread_whatever_the_machine(make_job):
    small = [
        ("lenet300", "digits", 64),
        ("lenet300", "mnist", 128),
        ("conv2", "digits", 64),
        ("resnet20", "cifar10", 128),
    ]
    for arch, dataset, batch in small:
        job = make_job(arch=arch, dataset=dataset, budget=Budget(epochs=1, batch_size=batch))
        assert threads_of(job, 64) == 1


def test_more_images_a_step_make_it_larger(make_job):
    def threads(batch_size, pack=1):
        job = make_job(arch="resnet20", dataset="cifar10", budget=Budget(epochs=1, batch_size=batch_size))
        return threads_of(job, 64, pack)

    assert 1 == threads(16) < threads(256) < threads(2048)
    assert threads(16, pack=16) == threads(256)


@pytest.mark.parametrize(
    ("value", "threads"),
    [(None, None), ("", None), ("3", 3), (" 3 ", 3), ("4,2", 4), ("0", None), ("-1", None), ("x", None)],
)
def test_the_environment_may_ask_for_threads(monkeypatch, value, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert threads_of_environment() == threads


def test_a_job_on_cuda_needs_one_gpu(make_job):
    assert needs(make_job(), device="cuda").gpus == 1
    assert needs(make_job()).gpus == 0


def test_what_the_last_ones_of_the_kind_took_goes_before_the_estimate(make_job):
    job = make_job()
    assert needs(job, known(job, memory_mb=50_000.0)).mem_gb == math.ceil(1.3 * 50_000 / 1024)
    assert needs(job, known(job, memory_mb=300.0)).mem_gb == 1
    assert needs(job, known(job, memory_mb=None)) == needs(job)


def test_another_kind_and_another_device_tell_nothing(make_job):
    job = make_job()
    assert needs(job, known(make_job(arch="conv2"), memory_mb=50_000.0)) == needs(job)
    assert needs(job, known(job, memory_mb=50_000.0, device="cuda")) == needs(job)
    on_cuda = needs(job, known(job, memory_mb=50_000.0, device="cuda"), device="cuda")
    assert on_cuda == needs(job, device="cuda"), "memory of the GPU is not memory of the host"


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, Needs(4, 8, 1)),
        ({"mem_gb": 30}, Needs(4, 30, 1)),
        ({"mem_gb": 2.5}, Needs(4, 3, 1)),
        ({"cpus_per_task": 2, "gpus_per_node": 0}, Needs(2, 8, 0)),
        ({"partition": "gpu"}, Needs(4, 8, 1)),
    ],
)
def test_what_the_user_says_goes_first(make_job, options, asked):
    assert with_options(lambda _: Needs(4, 8, 1), options)(make_job()) == asked


def outputs_of_a_forward(arch, shape, classes):
    """The numbers that the layers of a real network put out for one image, and its maskable weights."""
    network = architectures.find(arch).build(shape, classes).eval()
    counts = []
    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, __, output: counts.append(output.numel()))
    network(torch.zeros(1, *shape))
    weights = sum(
        module.weight.numel() for module in network.modules() if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    )
    return weights, sum(counts)


def test_the_footprint_of_lenet_is_the_one_that_a_person_counts():
    weights, outputs = footprint("lenet300", (1, 8, 8), 10)
    assert weights == 64 * 300 + 300 * 100 + 100 * 10
    assert outputs == 64 + 2 * 300 + 2 * 100 + 10, "flattened, two layers with their rectifiers, logits"


@pytest.mark.parametrize(("arch", "shape"), [("conv2", (3, 32, 32)), ("resnet20", (1, 8, 8)), ("wrn10_1", (3, 32, 32))])
def test_the_footprint_is_what_a_real_forward_puts_out(arch, shape):
    assert footprint(arch, shape, 10) == outputs_of_a_forward(arch, shape, 10)
    assert footprint(arch, shape, 10)[0] == check_shape(arch, shape, 10)


@pytest.fixture
def machine(monkeypatch):
    """A function that says what machine this is: cores, free memory in GiB, and GPUs."""

    def be(cores=8, free=1000.0, gpus=()):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        monkeypatch.setattr(local, "_free_gb", lambda: free)
        monkeypatch.setattr(local, "_gpus", lambda _: list(gpus))

    return be


def slots(max_parallel=None, jobs_per_gpu=1, threads=1, device="cpu", mem_gb=1.0, jobs=100):
    return make_slots([threads] * jobs, max_parallel, jobs_per_gpu, device, mem_gb)


def test_no_more_slots_than_jobs(machine):
    machine(cores=8)
    assert len(slots(jobs=2)) == 2
    assert len(slots(jobs=0)) == 1


@pytest.mark.parametrize(
    ("cores", "max_parallel", "threads", "expected"),
    [
        (1, None, 1, 1),
        (2, None, 1, 2),
        (16, None, 1, 16),
        (64, None, 1, 64),
        (8, 3, 1, 3),
        (8, 20, 1, 20),
        (8, None, 3, 2),
        (8, None, 16, 1),
        (8, 5, 4, 5),
    ],
)
def test_jobs_fill_the_cores(machine, cores, max_parallel, threads, expected):
    machine(cores=cores)
    found = slots(max_parallel=max_parallel, threads=threads)
    assert len(found) == expected
    assert {slot.gpu for slot in found} == {None}


def test_there_are_slots_for_as_many_small_jobs_as_fit_beside_large_ones(machine):
    machine(cores=8)
    assert len(make_slots([8, 8, 4, 1, 1, 2], None, 1, "cpu", 1.0)) == 4, "1, 1, 2 and 4 threads"


@pytest.mark.parametrize(
    ("free", "mem_gb", "expected"),
    [(10.0, 4.0, 2), (100.0, 4.0, 8), (10.0, 9.0, 1), (1.0, 64.0, 1)],
)
def test_no_more_slots_than_fit_into_memory(machine, free, mem_gb, expected):
    machine(free=free)
    assert len(slots(mem_gb=mem_gb)) == expected


def test_who_says_how_many_knows_better_than_the_memory(machine):
    machine(free=1.0)
    assert len(slots(max_parallel=4, mem_gb=100.0)) == 4


def test_every_gpu_is_a_slot_of_its_own(machine):
    machine(gpus=["0", "3"])
    assert slots(device="cuda") == [Slot(4, "0"), Slot(4, "3")]


def test_jobs_share_a_gpu_where_that_is_asked_for(machine):
    machine(gpus=["0", "3"])
    assert [slot.gpu for slot in slots(device="cuda", jobs_per_gpu=2)] == ["0", "3", "0", "3"]
    assert {slot.threads for slot in slots(device="cuda", jobs_per_gpu=2)} == {2}


def test_few_jobs_at_once_are_spread_over_the_gpus(machine):
    machine(gpus=["0", "3"])
    assert [slot.gpu for slot in slots(device="cuda", jobs_per_gpu=4, max_parallel=2)] == ["0", "3"]
    assert slots(device="cuda", jobs_per_gpu=4, max_parallel=1) == [Slot(8, "0")]


@pytest.mark.parametrize(
    ("device", "visible", "gpus"),
    [
        ("cuda", None, ["0", "1", "2"]),
        ("auto", None, ["0", "1", "2"]),
        ("cuda:1", None, ["1"]),
        ("cpu", None, []),
        ("cuda", "2,5", ["2", "5"]),
        ("cuda:1", "2,5", ["5"]),
        ("auto", "GPU-a,GPU-b", ["GPU-a", "GPU-b"]),
    ],
)
def test_the_gpus_are_those_that_this_process_sees(monkeypatch, device, visible, gpus):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = slots(device=device, max_parallel=8)
    assert [slot.gpu for slot in found] == (gpus or [None] * 8)


def test_without_cuda_there_are_slots_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert {slot.gpu for slot in slots(device="auto", max_parallel=2)} == {None}


def test_the_free_memory_is_a_number_of_gib():
    assert 0.05 < local._free_gb() < 100_000


def test_a_slot_tells_its_process_threads_and_gpu(monkeypatch):
    monkeypatch.setenv("SOME_VARIABLE", "kept")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    monkeypatch.setenv("OMP_NUM_THREADS", "17")
    found = Slot(3, "2").environment()
    assert found["CUDA_VISIBLE_DEVICES"] == "2"
    assert found["OMP_NUM_THREADS"] == found["MKL_NUM_THREADS"] == "3"
    assert found["SOME_VARIABLE"] == "kept"
    assert os.environ["OMP_NUM_THREADS"] == "17", "that of this process stays"


def test_a_slot_without_a_gpu_hides_them_all(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert Slot(1).environment()["CUDA_VISIBLE_DEVICES"] == ""
