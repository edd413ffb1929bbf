package wiring

import (
	"fmt"
	"path"
	"reflect"
	"runtime"

	"go.uber.org/dig"
)

var errorType = reflect.TypeFor[error]()

// function is a constructor or an init function, taken apart.
type function struct {
	value    reflect.Value
	params   []param
	result   reflect.Type // nil if it returns nothing but perhaps an error
	hasError bool
	where    string // "cmdb.start (cmdb.go:24)"
}

// param is one dependency of a function: a parameter, or a field of a parameter that embeds fx.In.
type param struct {
	typ      reflect.Type
	optional bool
}

// inspect takes fn apart. The error says what is wrong with its signature.
func inspect(fn any) (*function, error) {
	v := reflect.ValueOf(fn)
	if !v.IsValid() || v.Kind() != reflect.Func {
		return nil, fmt.Errorf("is %s, not a function", describe(v))
	}
	if v.IsNil() {
		return nil, fmt.Errorf("is a nil %s", v.Type())
	}
	t := v.Type()
	f := &function{value: v, where: location(v)}
	if t.IsVariadic() {
		return nil, fmt.Errorf("%s is variadic: a dependency is one parameter", f.where)
	}
	for i := range t.NumIn() {
		if err := f.addParam(t.In(i)); err != nil {
			return nil, err
		}
	}
	results := t.NumOut()
	if results > 0 && t.Out(results-1) == errorType {
		f.hasError = true
		results--
	}
	if results > 1 {
		return nil, fmt.Errorf("%s returns %d values: at most one value and an error can be returned", f.where, results)
	}
	if results == 1 {
		f.result = t.Out(0)
		if dig.IsOut(f.result) {
			return nil, fmt.Errorf("%s returns an fx.Out struct: declare one service for each type instead", f.where)
		}
	}
	return f, nil
}

func (f *function) addParam(t reflect.Type) error {
	if !dig.IsIn(t) {
		f.params = append(f.params, param{typ: t})
		return nil
	}
	for i := range t.NumField() {
		field := t.Field(i)
		if field.Type == reflect.TypeFor[dig.In]() {
			continue
		}
		if !field.IsExported() {
			return fmt.Errorf("%s: field %s of %s is not exported, so it can't be filled", f.where, field.Name, t)
		}
		if field.Tag.Get("name") != "" || field.Tag.Get("group") != "" {
			return fmt.Errorf("%s: field %s of %s has a name or group tag: services are identified by their type alone", f.where, field.Name, t)
		}
		if dig.IsIn(field.Type) {
			if err := f.addParam(field.Type); err != nil {
				return err
			}
			continue
		}
		f.params = append(f.params, param{typ: field.Type, optional: field.Tag.Get("optional") == "true"})
	}
	return nil
}

// inputs are the parameter types as the function declares them.
func (f *function) inputs() []reflect.Type {
	t := f.value.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	return in
}

// call calls the function. A panic is returned as a *PanicError.
func (f *function) call(args []reflect.Value) (result reflect.Value, err error) {
	defer Recover(&err)
	out := f.value.Call(args)
	if f.hasError {
		if e, _ := out[len(out)-1].Interface().(error); e != nil {
			return reflect.Value{}, e
		}
	}
	if f.result == nil {
		return reflect.Value{}, nil
	}
	switch out[0].Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Func, reflect.Map, reflect.Chan:
		if out[0].IsNil() {
			return reflect.Value{}, fmt.Errorf("%s returned nil", f.where)
		}
	}
	return out[0], nil
}

// location names a function and says where it is written.
func location(v reflect.Value) string {
	rf := runtime.FuncForPC(v.Pointer())
	if rf == nil {
		return v.Type().String()
	}
	file, line := rf.FileLine(rf.Entry())
	return fmt.Sprintf("%s (%s:%d)", path.Base(rf.Name()), path.Base(file), line)
}

func describe(v reflect.Value) string {
	if !v.IsValid() {
		return "nil"
	}
	return "a value of type " + v.Type().String()
}
