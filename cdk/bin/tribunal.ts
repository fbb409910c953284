/** The CDK app: one stack, described by the context (`cdk deploy -c name=value`; see docs/deploy.md). */

import { App } from 'aws-cdk-lib';

import { addSecurityChecks } from '../lib/security-checks';
import { readSettings } from '../lib/settings';
import { TribunalStack } from '../lib/tribunal-stack';

const app = new App();
const settings = readSettings((name) => app.node.tryGetContext(name) as unknown);
addSecurityChecks(app);
new TribunalStack(app, settings.stackName, { settings });
