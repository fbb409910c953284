/**
 * What the deployment has to know of `sources.toml`: the names of the secrets that it reads.
 *
 * The function validates the whole file when it reads it, and so does `tribunal sources check`. Here only the places
 * where a secret may stand are looked at, since each becomes a permission:
 *
 * ```text
 * sources.<name>.mysql.connection.secret
 * sources.<name>.mongodb.connection.secret
 * sources.<name>.http.headers.<header>.secret
 * ```
 */

import { readFileSync } from 'node:fs';

import { parse } from 'smol-toml';

/** Characters that Secrets Manager allows in a name; no wildcard among them. */
const NAME = /^[A-Za-z0-9/_+=.@-]{1,512}$/;

/**
 * Names of the secrets that a declaration reads, sorted.
 *
 * @param path of a `sources.toml`
 * @throws when it cannot be read, is not TOML, or names a secret that cannot be one
 */
export function readSecrets(path: string): string[] {
  const secrets = new Set<string>();
  for (const [source, declared] of Object.entries(table(table(declaration(path)).sources))) {
    for (const [place, holder] of holders(table(declared))) {
      const { secret } = table(holder);
      if (secret === undefined) {
        continue;
      }
      if (typeof secret !== 'string' || !NAME.test(secret)) {
        throw new Error(
          `${path}: sources.${source}.${place}.secret is ${JSON.stringify(secret)}, ` +
            `expected the name of a secret, a text that matches ${NAME}`,
        );
      }
      secrets.add(secret);
    }
  }
  return [...secrets].sort();
}

/** Where a secret may stand in a source. */
function holders(source: Readonly<Record<string, unknown>>): [string, unknown][] {
  const headers = Object.entries(table(table(source.http).headers));
  return [
    ['mysql.connection', table(source.mysql).connection],
    ['mongodb.connection', table(source.mongodb).connection],
    ...headers.map(([name, value]): [string, unknown] => [`http.headers.${name}`, value]),
  ];
}

function declaration(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`${path}: cannot be read as TOML`, { cause });
  }
}

/** A value as a table; what is none has nothing in it. */
function table(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
}
