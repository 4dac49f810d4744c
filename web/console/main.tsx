import '../shared/design.css';
import '../shared/parts.css';
import './console.css';
import { render } from 'preact';
import { apply, chosen } from '../shared/theme.ts';
import { App } from './app.tsx';

apply(chosen());
const page = document.getElementById('page');
if (page) render(<App />, page);
