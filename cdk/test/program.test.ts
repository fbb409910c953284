/** What is told of a zip before it is deployed. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';

import { architectureOf, checkProgram } from '../lib/program';
import { temporary } from './deployment';

/** An archive's first entry, as `make package` writes it; what follows it is not read. */
function zip(program: Buffer, deflated = true): Buffer {
  const data = deflated ? deflateRawSync(program, { level: 9 }) : program;
  const name = Buffer.from('bootstrap');
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(20, 4);
  header.writeUInt16LE(deflated ? 8 : 0, 8);
  header.writeUInt32LE(data.length, 18);
  header.writeUInt32LE(program.length, 22);
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, name, data, Buffer.from('PK')]);
}

/** A program of 200,000 bytes that begin like an executable for a machine. */
function elf(machine: number): Buffer {
  const program = Buffer.alloc(200_000);
  for (let at = 64; at < program.length; at += 1) {
    program[at] = (at * 2_654_435_761) >>> 13;
  }
  program.write('\x7fELF', 'latin1');
  program.writeUInt16LE(machine, 18);
  return program;
}

for (const [machine, architecture] of [
  [0x3e, 'x86_64'],
  [0xb7, 'arm64'],
  [0x28, undefined],
] as const) {
  test(`a program for machine ${machine} is one for ${architecture}`, () => {
    assert.equal(architectureOf(zip(elf(machine))), architecture);
    assert.equal(architectureOf(zip(elf(machine), false)), architecture);
  });
}

test('a program for the other processor is refused, with what to do', () => {
  const path = join(temporary(), 'predict.zip');
  writeFileSync(path, zip(elf(0x3e)));
  checkProgram(path, 'x86_64');
  assert.throws(
    () => checkProgram(path, 'arm64'),
    /predict\.zip holds a program for x86_64, but the context value architecture is "arm64": build on arm64/,
  );
});

test('what is no program, or no zip, is not judged', () => {
  const script = zip(Buffer.from('#!/bin/sh\nexit 0\n'));
  const broken = Buffer.concat([zip(elf(0x3e)).subarray(0, 39), Buffer.alloc(64, 0xff)]);
  for (const bytes of [
    script,
    broken,
    Buffer.from('PK'),
    Buffer.alloc(0),
    zip(Buffer.from('\x7fELF', 'latin1')),
  ]) {
    assert.equal(architectureOf(bytes), undefined);
  }
});
