/**
 * From `scoring.asl.json`, which a person reads, to the definition that Step Functions runs.
 *
 * The file holds the branch of `Predict` once, with `${Model}` and `${PredictFunctionArn}` in it. `expand`
 * writes it out for every member of the ensemble definition (`ensemble/current.json` names the version,
 * `ensemble/versions/<version>.json` the members), so that a new member needs no edit here.
 *
 * The module also does the arithmetic that bounds an execution: how long it takes at worst, and how large its
 * state becomes. It knows nothing of CDK: an ARN may be any text, also a CDK token.
 *
 * What it does not do: it does not check the digest of the ensemble definition, nor its weights. The ensemble
 * function does, at every cold start.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import template from './scoring.asl.json';

/** Payload that a state machine carries at most between two states: 256 KiB. */
export const STATE_BYTES_MAX = 262_144;
/** Entities in one execution: `MAX_BATCH_ENTITIES` of crates/core/src/message.rs. */
export const BATCH_ENTITIES_MAX = 50;
/** Bytes of an execution's input: `MAX_BATCH_BYTES` of crates/core/src/message.rs. */
export const BATCH_BYTES_MAX = 36 * 1024;
/**
 * Features of one entity, beside the entity itself: numbers with at most 9 digits, statuses, facts, and whether it is
 * to be scored again. extract measures the whole and leaves facts out until it fits: `MAX_FEATURES_BYTES` of
 * crates/core/src/message.rs.
 */
export const FEATURE_BYTES_PER_ENTITY = 1_940;
/**
 * One model's prediction for one entity at worst: a probability, its bounds and ten contributions by position, with
 * numbers at their longest. `MAX_PREDICTION_BYTES` of crates/core/src/message.rs, where a test measures it.
 */
export const PREDICTION_BYTES_PER_ENTITY = 384;
/** What a prediction has once per batch: `MAX_PREDICTION_FRAME_BYTES` of the same file. */
export const PREDICTION_FRAME_BYTES = 512;
/** What there is once per batch: names of features, digests, names of fields. */
export const BATCH_OVERHEAD_BYTES = 8 * 1024;
/** An Express execution ends after five minutes, whatever its definition says. */
export const EXPRESS_SECONDS_MAX = 300;

/** One member of the ensemble, as far as the infrastructure needs it. */
export interface Ensemble {
  /** Version of the definition. */
  readonly version: string;
  /** Names of the models, in the order of the definition. */
  readonly models: readonly string[];
}

/** Where the functions are. */
export interface FunctionArns {
  /** The function that makes features. */
  readonly extract: string;
  /** The predictors, by the name of the model. */
  readonly predict: Readonly<Record<string, string>>;
  /** The function that makes and writes scores. */
  readonly ensemble: string;
}

/** A rule of `Retry`. */
export interface Retrier {
  readonly ErrorEquals: string[];
  readonly IntervalSeconds: number;
  readonly BackoffRate: number;
  readonly MaxAttempts: number;
  readonly MaxDelaySeconds: number;
  readonly JitterStrategy: string;
}

/** A rule of `Catch`. */
export interface Catcher {
  readonly ErrorEquals: string[];
  readonly ResultPath?: string;
  readonly Next: string;
}

/** A state, with the fields that this module reads. */
export interface State {
  readonly Type: string;
  readonly TimeoutSeconds?: number;
  readonly Retry?: Retrier[];
  readonly Catch?: Catcher[];
  readonly Branches?: Machine[];
  readonly Next?: string;
  readonly End?: boolean;
}

/** A state machine, or a branch of one. */
export interface Machine {
  readonly Comment?: string;
  readonly TimeoutSeconds?: number;
  readonly StartAt: string;
  readonly States: Record<string, State>;
}

/** A model's name stands in names of functions, keys of objects and names of states. */
const MODEL_NAME = /^[a-z][a-z0-9-]{0,31}$/;
/** A version is part of a file's name. */
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const PLACEHOLDER = /\$\{([A-Za-z]+)\}/g;

/**
 * Reads which models the ensemble has.
 *
 * @param registry folder with `ensemble/current.json` in it
 * @throws when a file is missing, is not JSON, or names no, a wrong or the same model twice
 */
export function readEnsemble(registry: string): Ensemble {
  const pointer = join(registry, 'ensemble', 'current.json');
  const version = field(readJson(pointer), 'version');
  if (typeof version !== 'string' || !VERSION.test(version)) {
    throw new Error(
      `${pointer}: version is ${JSON.stringify(version)}, expected a text that matches ${VERSION}`,
    );
  }
  const path = join(registry, 'ensemble', 'versions', `${version}.json`);
  const members = field(readJson(path), 'members');
  if (!Array.isArray(members) || members.length === 0) {
    throw new Error(
      `${path}: members is ${JSON.stringify(members)}, expected a list with at least one member`,
    );
  }
  const models = members.map((member) => modelName(path, field(member, 'model')));
  const twice = models.find((name, at) => models.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new Error(`${path}: the model ${JSON.stringify(twice)} is a member twice`);
  }
  return { version, models };
}

function modelName(path: string, name: unknown): string {
  if (typeof name !== 'string' || !MODEL_NAME.test(name)) {
    throw new Error(
      `${path}: a member's model is ${JSON.stringify(name)}, expected a text that matches ${MODEL_NAME}`,
    );
  }
  return name;
}

/**
 * The definition for these functions: one branch of `Predict` per predictor.
 *
 * @throws when there is no predictor, when so many that their answers do not fit into the state, or when a
 * placeholder is unknown
 */
export function expand(arns: FunctionArns, source: Machine = template as unknown as Machine): Machine {
  const models = Object.keys(arns.predict);
  if (models.length === 0) {
    throw new Error('the ensemble has no member: at least one predictor is needed');
  }
  const bytes = stateBytesAtWorst(models.length);
  if (bytes > STATE_BYTES_MAX) {
    throw new Error(
      `the state of ${models.length} members may reach ${bytes} bytes, the limit is ${STATE_BYTES_MAX}: ` +
        'lower MAX_BATCH_ENTITIES or the number of contributions of a prediction first',
    );
  }
  const states = Object.entries(source.States).map(([name, state]) => [name, withBranches(state, arns)]);
  const whole = { ...source, States: Object.fromEntries(states) as Record<string, State> };
  return substitute(whole, { ExtractFunctionArn: arns.extract, EnsembleFunctionArn: arns.ensemble });
}

/** A Parallel state with its one branch written out for every predictor; any other state as it is. */
function withBranches(state: State, arns: FunctionArns): State {
  const [branch, ...others] = state.Branches ?? [];
  if (branch === undefined) {
    return state;
  }
  if (others.length > 0) {
    throw new Error(
      `a Parallel state has ${others.length + 1} branches, expected the one that stands for every model`,
    );
  }
  const branches = Object.entries(arns.predict).map(([model, arn]) =>
    substitute(branch, { Model: model, PredictFunctionArn: arn }),
  );
  return { ...state, Branches: branches };
}

/** Replaces `${Name}` in every text and every key. A CDK token, `${Token[...]}`, is not a name and stays. */
function substitute<T>(value: T, values: Readonly<Record<string, string>>): T {
  const known = (_: string, name: string): string => {
    const found = values[name];
    if (found === undefined) {
      throw new Error(`the definition names \${${name}}, expected one of ${Object.keys(values).join(', ')}`);
    }
    return found;
  };
  const walk = (node: unknown): unknown => {
    if (typeof node === 'string') {
      return node.replace(PLACEHOLDER, known);
    }
    if (Array.isArray(node)) {
      return node.map(walk);
    }
    if (node !== null && typeof node === 'object') {
      return Object.fromEntries(Object.entries(node).map(([key, inner]) => [walk(key), walk(inner)]));
    }
    return node;
  };
  return walk(value) as T;
}

/**
 * Seconds that an execution takes at worst, every retry included.
 *
 * Every attempt is counted with its whole timeout and every pause at its greatest (full jitter only shortens
 * it). States stand one after the other; the branches of a Parallel state run side by side.
 */
export function worstCaseSeconds(machine: Machine): number {
  return Object.values(machine.States).reduce((sum, state) => sum + stateSeconds(state), 0);
}

function stateSeconds(state: State): number {
  if (state.Branches !== undefined) {
    return Math.max(...state.Branches.map(worstCaseSeconds));
  }
  if (state.Type !== 'Task') {
    return 0;
  }
  // Without a timeout the worst case has no bound: Infinity fails whatever it is compared with.
  const timeout = state.TimeoutSeconds ?? Infinity;
  const retries = (state.Retry ?? []).map((retrier) => retrierSeconds(retrier, timeout));
  return retries.reduce((sum, seconds) => sum + seconds, timeout);
}

function retrierSeconds(retrier: Retrier, timeout: number): number {
  let seconds = 0;
  for (let attempt = 0; attempt < retrier.MaxAttempts; attempt += 1) {
    const pause = retrier.IntervalSeconds * retrier.BackoffRate ** attempt;
    seconds += Math.min(pause, retrier.MaxDelaySeconds) + timeout;
  }
  return seconds;
}

/**
 * Bytes of the largest payload of an execution at worst: the ensemble's input, features and all predictions.
 *
 * A failed model takes less than an answer: functions keep their messages short.
 */
export function stateBytesAtWorst(models: number): number {
  const perEntity = FEATURE_BYTES_PER_ENTITY + models * PREDICTION_BYTES_PER_ENTITY;
  const perBatch = BATCH_OVERHEAD_BYTES + models * PREDICTION_FRAME_BYTES;
  return BATCH_BYTES_MAX + perBatch + BATCH_ENTITIES_MAX * perEntity;
}

/** Every task of a machine with its name, those in branches included. */
export function tasks(machine: Machine): [string, State][] {
  return Object.entries(machine.States).flatMap(([name, state]) =>
    state.Type === 'Task' ? [[name, state] as [string, State]] : (state.Branches ?? []).flatMap(tasks),
  );
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new Error(`${path}: cannot be read as JSON`, { cause });
  }
}

function field(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>)[name] : undefined;
}
