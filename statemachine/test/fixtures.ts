/** The messages between the steps, as JSON files that other tests can read too. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expand, type FunctionArns, type Machine } from 'tribunal-statemachine';

/** Folder that holds an ensemble definition like that of a registry. */
export const REGISTRY = join(__dirname, 'fixtures', 'registry');
/** Root of the repository. */
export const ROOT = join(__dirname, '..', '..');
/** Members of the ensemble in the fixtures. */
export const MODELS = ['xgboost', 'lightgbm', 'forest'] as const;

/** A fixture by its name. */
export function fixture(name: string): unknown {
  return JSON.parse(readFileSync(join(__dirname, 'fixtures', `${name}.json`), 'utf8'));
}

/** ARNs of functions that do not exist. */
export function arns(models: readonly string[] = MODELS): FunctionArns {
  const arn = (name: string): string => `arn:aws:lambda:us-east-1:123456789012:function:tribunal-${name}`;
  return {
    extract: arn('extract'),
    predict: Object.fromEntries(models.map((model) => [model, arn(`predict-${model}`)])),
    ensemble: arn('ensemble'),
  };
}

/** The definition for the models of the fixtures. */
export function definition(): Machine {
  return expand(arns());
}
