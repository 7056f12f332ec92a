"Processes that are killed, stopped or starved, begun as copies of this one, which costs no imports."
import multiprocessing
import os
import traceback

import torch


def begin(call, *args, **environ):
    "A process that does `call(*args)`; its end is in `exitcode`, and what went wrong in `said()`."
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)

    def work():
        torch.set_num_threads(1)  # the threads of the one that is copied are not copied
        os.environ.update(environ)
        try:
            call(*args)
        except BaseException:
            writer.send(traceback.format_exc())
            os._exit(1)
        os._exit(0)

    process = context.Process(target=work, daemon=True)
    process.start()
    writer.close()
    process.said = lambda: reader.recv() if reader.poll() else ""
    return process


def finish(process, timeout=60):
    "-> exit code, what went wrong; a process that does not end fails the test."
    process.join(timeout)
    assert process.exitcode is not None, f"still running after {timeout} s"
    try:
        return process.exitcode, process.said()
    except EOFError:  # killed before it could say anything
        return process.exitcode, ""
