"""Planted bugs: segments that are finished in pieces, beside what is appended."""

from tests.plants.plant import Plant

SEALING = "tests/audit/test_audit_sealing.py::"
MEMORY = SEALING + "TestMemory::"
APPENDS = SEALING + "TestAppendsGoOn::"
VERIFY_MEMORY = "tests/audit/test_audit_verify_memory.py::"
LARGE = "tests/audit/test_audit_shipping.py::test_a_large_object_is_sent_and_read_in_little_memory"
FRAMES = VERIFY_MEMORY + "TestFramesOfOneSegment::"
SYNCED = SEALING + "test_a_file_is_synced_before_it_has_its_name_and_now_and_then_before"
DEATH = SEALING + "test_a_death_at_any_point_of_sealing_is_harmless"

PLANTS = (
    Plant(
        "a finished file is held in memory until it is whole",
        "audit/files.py",
        "        if len(self._held) >= PIECE_BYTES:\n            self._flush()\n",
        "",
        MEMORY + "test_sealing_takes_as_little_for_a_large_segment_as_for_a_small_one",
    ),
    Plant(
        "a journal is read whole to follow it",
        "audit/log/dead_epoch.py",
        "    for frame in walk:",
        "    for frame in list(walk):",
        MEMORY + "test_following_a_dead_writers_journal_takes_as_little",
    ),
    Plant(
        "a journal is read whole to list what is in it",
        "audit/log/journal_file.py",
        "tuple(frame.payload for frame in journal.walk() if frame.kind is Kind.RECORD)",
        "tuple(frame.payload for frame in list(journal.walk()) if frame.kind is Kind.RECORD)",
        MEMORY + "test_reading_the_records_beside_a_living_writer_takes_as_little",
    ),
    Plant(
        "a directory holds what it stores in memory",
        "audit/files.py",
        "        for piece in pieces_of(body):\n            write_all(fd, piece)",
        "        for piece in [b''.join(pieces_of(body))]:\n            write_all(fd, piece)",
        MEMORY + "test_shipping_takes_as_little",
    ),
    Plant(
        "a shipper reads what it ships",
        "audit/log/shipper.py",
        "        return store.put_once(key, path)",
        "        return store.put_once(key, path.read_bytes())",
        MEMORY + "test_a_shipper_hands_over_files",
    ),
    Plant(
        "an object is held in memory to be sent to S3",
        "audit/stores/s3_wire.py",
        "yield file.read() if os.fstat(file.fileno()).st_size <= PIECE_BYTES else file",
        "yield file.read()",
        LARGE,
    ),
    Plant(
        "an object is held in memory when it comes from S3",
        "audit/stores/s3_wire.py",
        "                yield from body.iter_chunks(PIECE_BYTES)",
        "                yield body.read()",
        LARGE,
    ),
    Plant(
        "the verifier holds a segment's content",
        "audit/verify/segment.py",
        "        follow(split_content(rest))",
        "        follow(split_content([b''.join(rest)]))",
        VERIFY_MEMORY + "test_memory_does_not_grow_with_a_segments_content",
    ),
    Plant(
        "the verifier holds a journal that is not sealed",
        "audit/verify/epoch.py",
        "memoryview(frame.payload) for frame in journal.walk() if",
        "memoryview(frame.payload) for frame in list(journal.walk()) if",
        VERIFY_MEMORY + "test_memory_does_not_grow_with_a_journal_that_is_not_sealed",
    ),
    Plant(
        "the verifier remembers each frame on its own",
        "audit/verify/transcripts.py",
        "        if not runs or runs[-1].next != number:\n",
        "        if True:\n",
        FRAMES + "test_each_takes_little_more_than_its_digest",
    ),
    Plant(
        "an exchange's second transcript hides its first",
        "audit/verify/transcripts.py",
        "            runs.append(_Run(number, bytearray()))",
        "            runs[:] = [_Run(number, bytearray())]",
        FRAMES + "test_an_end_is_held_to_the_frames_before_it_also_when_others_follow",
    ),
    Plant(
        "a journal that is not whole is sealed",
        "audit/log/segment_files.py",
        "        if walk.torn_bytes:\n",
        "        if False:\n",
        SEALING + "TestSameAsBefore::test_a_journal_that_is_not_whole_becomes_nothing",
    ),
    Plant(
        "what was begun is left behind when sealing fails",
        "audit/log/segment_files.py",
        "    finally:\n        files.discard()\n",
        "    finally:\n        pass\n",
        SEALING + "TestSameAsBefore::test_a_journal_that_is_not_whole_becomes_nothing",
    ),
    Plant(
        "a frame that ends in the next piece is cut",
        "audit/log/segment.py",
        "        held, size = [data[offset:]], size - offset\n",
        "        held, size = [data[offset:]], len(data[offset:])\n        held = held if size > 8 else [data[offset:][:3]]\n",
        SEALING + "TestSameAsBefore::test_a_content_object_is_split_wherever_its_pieces_end",
    ),
    Plant(
        "the journal goes before its files have their names",
        "audit/log/segment_files.py",
        "        manifest = _write_files(directory, segment, journal, signer, sealed_ms)\n",
        "        path.unlink()\n        manifest = _write_files(directory, segment, journal, signer, sealed_ms)\n"
        "        path.touch()\n",
        DEATH,
    ),
    Plant(
        "a file has its name before it is synced",
        "audit/files.py",
        "        os.fsync(self._fd)\n        self._close()\n        os.replace(self._temporary, self._path)\n",
        "        os.replace(self._temporary, self._path)\n        os.fsync(self._fd)\n        self._close()\n",
        SYNCED,
    ),
    Plant(
        "a large file is synced at its end only",
        "audit/files.py",
        "        if self._unsynced >= UNSYNCED_BYTES:\n",
        "        if False:\n",
        SYNCED,
    ),
    Plant(
        "sealing holds the lock that the journal asks for",
        "audit/log/keeper.py",
        "                manifest = seal_segment(self._directory, segment, self._signer, int(time.time() * 1000))",
        "                with self._wake:\n"
        "                    manifest = seal_segment(self._directory, segment, self._signer, int(time.time() * 1000))",
        APPENDS + "test_while_segments_wait_to_be_sealed",
    ),
    Plant(
        "sealing keeps the interpreter",
        "audit/log/segment_files.py",
        "                time.sleep(GIVE_WAY_SECONDS)",
        "                pass",
        APPENDS + "test_sealing_gives_way",
    ),
    Plant(
        "a segment of nothing but evidence grows on",
        "audit/log/journal.py",
        " or self._evidence_bytes >= MAX_EVIDENCE_BYTES",
        "",
        SEALING + "TestWhenASegmentEnds::test_by_its_evidence_alone",
    ),
    Plant(
        "a small spool is full before a segment is",
        "audit/log/journal.py",
        "min(settings.segment_bytes, settings.max_spool_bytes // _SPOOL_SHARE)",
        "settings.segment_bytes",
        SEALING + "TestWhenASegmentEnds::test_by_its_share_of_a_small_spool",
    ),
    Plant(
        "a segment is full before its time is over",
        "audit/settings.py",
        "    segment_bytes: int = 32 * 1024 * 1024",
        "    segment_bytes: int = 4 * 1024 * 1024",
        "tests/audit/test_audit_journal.py::test_at_20_exchanges_a_second_1000_of_them_are_at_most_5_objects[streamed]",
    ),
)
