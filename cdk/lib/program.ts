/**
 * The zip of a program, looked at before it is deployed: a program for the wrong processor deploys without a word and
 * fails at its first event.
 *
 * Reads the first entry of the archive (`make package` writes only one, `bootstrap`) and of it the header of the
 * executable. What is not an ELF executable, a script for example, is not judged.
 */

import { existsSync, readFileSync } from 'node:fs';
import { constants, inflateRawSync } from 'node:zlib';

import type { ArchitectureName } from './settings';

/** `e_machine` of the executables that Lambda runs. */
const MACHINES: Readonly<Record<number, ArchitectureName>> = { 0x3e: 'x86_64', 0xb7: 'arm64' };

/**
 * Checks that the zip is there and holds a program for the architecture.
 *
 * @throws when it is not there, or when it is for another architecture
 */
export function checkProgram(path: string, architecture: ArchitectureName): void {
  if (!existsSync(path)) {
    throw new Error(
      `${path} does not exist: run \`make package\` first (it builds the functions and packs them)`,
    );
  }
  const found = architectureOf(readFileSync(path));
  if (found !== undefined && found !== architecture) {
    throw new Error(
      `${path} holds a program for ${found}, but the context value architecture is "${architecture}": ` +
        `build on ${architecture}, or deploy with -c architecture=${found}`,
    );
  }
}

/** Architecture of the first entry's executable; `undefined` where that cannot be told. */
export function architectureOf(zip: Buffer): ArchitectureName | undefined {
  if (zip.length < 30 || zip.readUInt32LE(0) !== 0x04034b50) {
    return undefined;
  }
  const start = 30 + zip.readUInt16LE(26) + zip.readUInt16LE(28);
  const header = contents(zip.subarray(start), zip.readUInt16LE(8));
  if (header.length < 20 || header.toString('latin1', 0, 4) !== '\x7fELF') {
    return undefined;
  }
  return MACHINES[header.readUInt16LE(18)];
}

/** The beginning of an entry: stored as it is, or deflated. */
function contents(data: Buffer, method: number): Buffer {
  if (method === 0) {
    return data;
  }
  try {
    // A kilobyte holds the header; that the stream ends in the middle is no error when it is flushed.
    return inflateRawSync(data.subarray(0, 1_024), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}
